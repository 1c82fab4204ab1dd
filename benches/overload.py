#!/usr/bin/env python3
"""What is left of a server's goodput at ten times the load that it takes on, and of its people's patience.

    overload.py [--rate 2000] [--seconds 5] [--rounds 5] [--binary target/release/offergate]

The server answers no more than --rate checks a second by its own setting (max_checks_per_second), so that
this machine can offer ten times that. h2load offers it once and ten times, in turn, round after round.
Told are medians: checks answered a second, by the server's own metrics, and how long `offergate status`
takes meanwhile. Fails when goodput at ten times is less than nine tenths of the best.
"""
import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "floor"))
import load  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = 10


def counts(management):
    """Checks so far, by the code that they were answered with."""
    page = urllib.request.urlopen(f"http://127.0.0.1:{management}/metrics").read().decode()
    found = {}
    for line in page.splitlines():
        if line.startswith("rpc_server_call_duration_seconds_count") and "/CheckEligibility" in line:
            code = re.search(r'rpc_response_status_code="(\w+)"', line)[1]
            found[code] = found.get(code, 0) + float(line.rsplit(" ", 1)[1])
    return found


def offer(server, management, body, per_second, seconds, binary):
    """Checks answered a second under this load, and the times of people's calls meanwhile."""
    before, start = counts(management), time.perf_counter()
    h2load = subprocess.Popen(
        ["taskset", "-c", load.LOAD_CORE, "h2load", "-t1", f"-c{CLIENTS}", "-m100", f"-D{seconds}",
         f"--rps={per_second / CLIENTS}", "-H", "content-type: application/grpc", "-H", "te: trailers",
         "-d", str(body), f"http://127.0.0.1:{server.port}{load.METHOD}"],
        stdout=subprocess.PIPE, text=True,
    )
    people = []
    while h2load.poll() is None:
        asked = time.perf_counter()
        subprocess.run([binary, "status", "--server", f"127.0.0.1:{server.port}"], check=True,
                       stdout=subprocess.DEVNULL)
        people.append(time.perf_counter() - asked)
        time.sleep(0.1)
    took, after = time.perf_counter() - start, counts(management)
    new = {code: after[code] - before.get(code, 0) for code in after}
    return {
        "offered": sum(new.values()) / took,
        "answered": new.get("OK", 0) / took,
        "refused": new.get("RESOURCE_EXHAUSTED", 0) / took,
        "people": max(people),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rate", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--binary", default=ROOT / "target/release/offergate")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        body = folder / "body.bin"
        # CheckEligibilityRequest: customer {id: "c-1"}, offer, action OFFER; with gRPC's five bytes.
        message = b"\x0a\x05\x0a\x03c-1\x12\x07kis-12m\x18\x01"
        body.write_bytes(b"\x00" + len(message).to_bytes(4, "big") + message)
        port, management = load.free_port(), load.free_port()
        server = load.Server("offergate", [
            options.binary, "serve", "--workers", 1, "--store", folder / "rules.db",
            "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{management}",
            "--max-checks-per-second", options.rate,
        ], port)
        try:
            server.wait_until_it_listens()
            rules = {1: [], 10: []}
            offer(server, management, body, options.rate, 1, options.binary)  # Warm up.
            for number in range(options.rounds):
                for times in rules:
                    rules[times].append(
                        offer(server, management, body, times * options.rate, options.seconds, options.binary)
                    )
                print(f"round {number + 1} of {options.rounds} done", flush=True)
        finally:
            server.process.terminate()
            server.process.wait()
    print(f"\n{'load':>6} {'offered/s':>10} {'answered/s':>11} {'refused/s':>10} {'people, slowest':>16}")
    answered = {}
    for times, rounds in rules.items():
        row = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        answered[times] = row["answered"]
        print(f"{times:5}x {row['offered']:10,.0f} {row['answered']:11,.0f} {row['refused']:10,.0f}"
              f" {max(each['people'] for each in rounds) * 1000:13,.0f} ms")
    share = answered[10] / max(answered.values())
    print(f"goodput at ten times the load: {share:.1%} of the best")
    if share < 0.9:
        raise SystemExit("that is less than nine tenths")


if __name__ == "__main__":
    main()
