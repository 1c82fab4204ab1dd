#!/usr/bin/env python3
"""How much goodput callers who behave lose while somebody attacks, and how much memory the server takes.

    attacks.py [--rate 2000] [--seconds 10] [--rounds 3] [--binary target/release/offergate] [ATTACK ...]

The server has one core. On the other, h2load asks at a steady rate, and for each attack in turn with and
without the attacker, who comes from another address. Told are medians of answered checks a second, the loss,
and the growth of resident memory. The attackers are those of tests/it/attacks, which say what becomes of
them. Fails at a loss of more than 10 %, or 64 MiB.
"""
import argparse
import multiprocessing
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "floor"))
import load  # noqa: E402
import overload  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
OPENING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4


def frame(kind, flags, stream, payload=b""):
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def header(name, value):
    assert len(name) < 127 and len(value) < 127
    return bytes([0, len(name)]) + name + bytes([len(value)]) + value


CALL = b"".join(header(*pair) for pair in (
    (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"localhost"),
    (b":path", load.METHOD.encode()), (b"content-type", b"application/grpc"), (b"te", b"trailers"),
))


def per_stream(number, make, many=200):
    return b"".join(make(2 * (number * many + place) + 1) for place in range(many))


def hpack_bomb(number):
    kept = b"\x40\x01x\x7f" + bytes([2873 % 128 | 128, 2873 // 128]) + b"y" * 3000
    return frame(HEADERS, END_HEADERS | END_STREAM, 2 * number + 1, CALL + kept + b"\xbe" * 12000)


# What each sends, in the round of this number of a connection.
FLOODS = {
    "rapid reset": lambda number: per_stream(number, lambda stream: frame(
        HEADERS, END_HEADERS, stream, CALL) + frame(RST_STREAM, 0, stream, struct.pack(">I", 8))),
    "forced resets": lambda number: per_stream(number, lambda stream: frame(
        HEADERS, END_HEADERS, stream, CALL) + frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 2**31 - 1))),
    "streams": lambda number: per_stream(number, lambda stream: frame(HEADERS, END_HEADERS, stream, CALL)),
    "CONTINUATION": lambda number: frame(CONTINUATION, 0, 1, header(b"x", b"y" * 100) * 150) if number else frame(
        HEADERS, 0, 1, CALL),
    "HPACK bomb": hpack_bomb,
    "PING": lambda number: frame(PING, 0, 0, b"01234567") * 1000,
    "SETTINGS": lambda number: frame(SETTINGS, 0, 0, bytes.fromhex("00040000ffff")) * 1000,
    "PRIORITY": lambda number: frame(PRIORITY, 0, 1, bytes(5)) * 1000,
    "empty DATA": lambda number: frame(DATA, 0, 1) * 1000 if number else frame(HEADERS, END_HEADERS, 1, CALL),
}


def connect(port):
    stream = socket.socket()
    stream.bind(("127.0.0.2", 0))
    stream.connect(("127.0.0.1", port))
    return stream


def flood(port, make):
    while True:
        try:
            stream = connect(port)
            stream.setblocking(False)
            waiting, number = OPENING, 0
            while True:
                try:
                    waiting = waiting[stream.send(waiting):]
                except BlockingIOError:
                    time.sleep(0.0005)
                if not waiting:
                    waiting, number = make(number), number + 1
                try:
                    if not stream.recv(1 << 16):
                        break
                except BlockingIOError:
                    pass
        except OSError:
            pass


def silence(port, _):
    """As many connections as it may have, none of which says a word."""
    held = []
    while True:
        try:
            held.append(connect(port))
        except OSError:
            time.sleep(0.01)
        if 1000 < len(held):
            held.pop(0).close()


ATTACKS = {name: (flood, name) for name in FLOODS} | {"connections": (silence, None)}


def attack(port, name):
    run, what = ATTACKS[name]
    run(port, FLOODS.get(what))


def round_of(server, management, body, options, name=None):
    attacker = name and multiprocessing.Process(target=attack, args=(server.port, name), daemon=True)
    if attacker:
        attacker.start()
        subprocess.run(["taskset", "-cp", load.LOAD_CORE, str(attacker.pid)], check=True,
                       stdout=subprocess.DEVNULL)
    before, start = overload.counts(management).get("OK", 0), time.perf_counter()
    try:
        subprocess.run(
            ["taskset", "-c", load.LOAD_CORE, "h2load", "-t1", "-c10", "-m100", f"-D{options.seconds}",
             f"--rps={options.rate / 10}", "-H", "content-type: application/grpc", "-H", "te: trailers",
             "-d", str(body), f"http://127.0.0.1:{server.port}{load.METHOD}"],
            check=True, stdout=subprocess.DEVNULL,
        )
        answered = (overload.counts(management).get("OK", 0) - before) / (time.perf_counter() - start)
        return answered, server.resident_mib()
    finally:
        if attacker:
            attacker.kill()
            attacker.join()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--binary", default=ROOT / "target/release/offergate")
    parser.add_argument("attacks", nargs="*", metavar="ATTACK", help=", ".join(ATTACKS))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        body = Path(folder) / "body.bin"
        message = b"\x0a\x05\x0a\x03c-1\x12\x07kis-12m\x18\x01"
        body.write_bytes(b"\x00" + len(message).to_bytes(4, "big") + message)
        port, management = load.free_port(), load.free_port()
        server = load.Server("offergate", [
            options.binary, "serve", "--workers", 1, "--store", Path(folder) / "rules.db",
            "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{management}",
        ], port)
        bad = []
        try:
            server.wait_until_it_listens()
            round_of(server, management, body, options)  # Warm up.
            at_rest = server.resident_mib()
            print(f"{'attack':14} {'alone/s':>9} {'attacked/s':>11} {'loss':>7} {'grown MiB':>10}")
            for name in options.attacks or ATTACKS:
                rounds = [
                    (round_of(server, management, body, options),
                     round_of(server, management, body, options, name))
                    for _ in range(options.rounds)
                ]
                alone = statistics.median(one[0] for one, _ in rounds)
                attacked = statistics.median(other[0] for _, other in rounds)
                loss, grown = 1 - attacked / alone, max(other[1] for _, other in rounds) - at_rest
                print(f"{name:14} {alone:9,.0f} {attacked:11,.0f} {loss:7.1%} {grown:10.1f}", flush=True)
                if 0.1 < loss or 64 < grown:
                    bad.append(name)
        finally:
            server.process.terminate()
            server.process.wait()
    if bad:
        raise SystemExit(f"too much is lost: {', '.join(bad)}")


if __name__ == "__main__":
    main()
