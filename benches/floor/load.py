#!/usr/bin/env python3
"""Compares the real server with the floor under the load of h2load, on this machine's loopback.

    load.py [--seconds 3] [--rounds 5] [--clients 8] [--streams 32]

Four servers run side by side on one core: the floor, offergate with 10 and with 10,000 suspensions,
and offergate with 10 as a replica of a Redis. h2load runs on another core and asks each in turn, round after round, so that a slow
minute hits all alike. Told are the medians, and ratios to the floor in the same round: absolute
figures mean little on a shared machine.
"""
import argparse
import atexit
import json
import os
import re
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

TARGET = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "release"
METHOD = "/offergate.v1.EligibilityService/CheckEligibility"
SERVER_CORE, LOAD_CORE = "0", "1"
TICK = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server process, pinned to its core."""

    def __init__(self, name, command, port):
        self.name, self.port, self.rounds = name, port, []
        self.process = subprocess.Popen(
            ["taskset", "-c", SERVER_CORE, *map(str, command)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OFFERGATE_ANONYMOUS": "everything"},
        )

    def wait_until_it_listens(self):
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} does not listen on port {self.port}")

    def cpu_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def resident_mib(self):
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024

    def load(self, body, options, seconds):
        before = self.cpu_seconds()
        # h2load counts a gRPC error as a success, its HTTP status being 200: see `probe`.
        output = subprocess.run(
            ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{options.clients}",
             f"-m{options.streams}", f"-D{seconds}", "-H", "content-type: application/grpc",
             "-H", "te: trailers", "-d", str(body), f"http://127.0.0.1:{self.port}{METHOD}"],
            capture_output=True, text=True, check=True,
        ).stdout
        done = int(re.search(r"(\d+) done", output)[1])
        lost = [int(n) for n in re.search(r"(\d+) failed, (\d+) errored, (\d+) timeout", output).groups()]
        if not done or any(lost):
            raise SystemExit(f"{self.name}: {lost} of {done} requests were lost\n{output}")
        cpu = self.cpu_seconds() - before
        return {"per_second": done / seconds, "cpu_us": cpu / done * 1e6}


def probe(server, body):
    """One check by hand: the answer must be an OK that says ELIGIBLE."""
    output = subprocess.run(
        ["nghttp", "-v", "--no-dep", "-H", "content-type: application/grpc", "-H", "te: trailers",
         "-d", str(body), f"http://127.0.0.1:{server.port}{METHOD}"],
        capture_output=True, check=True,
    ).stdout
    # Decision.outcome is the first field of the answer's first field: 08 01 is ELIGIBLE.
    if not re.search(rb"grpc-status: .{0,8}0", output) or b"\x08\x01" not in output:
        raise SystemExit(f"{server.name} does not answer ELIGIBLE:\n{output.decode(errors='replace')}")


def start(folder):
    ports = [free_port() for _ in range(8)]
    servers = [Server("floor", [TARGET / "examples/floor", ports[0]], ports[0])]
    for size, port, management in ((10, *ports[1:3]), (10_000, *ports[3:5])):
        command = [
            TARGET / "offergate", "serve", "--workers", 1, "--store", folder / f"{size}.db",
            "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{management}",
        ]
        servers.append(Server(f"offergate, {size:,} suspensions", command, port))
    servers.append(replica(folder, *ports[5:]))
    return servers


def replica(folder, redis_port, port, management):
    redis = subprocess.Popen(
        ["redis-server", "--port", str(redis_port), "--dir", folder, "--appendonly", "yes",
         "--appendfsync", "always", "--save", ""],
        stdout=subprocess.DEVNULL,
    )
    atexit.register(redis.kill)
    command = [
        TARGET / "offergate", "serve", "--workers", 1, "--store", f"redis://127.0.0.1:{redis_port}",
        "--begin-history", "--replica", "load", "--journal", folder / "journal.db",
        "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{management}",
    ]
    return Server("offergate, 10, Redis", command, port)


def copy_rules(one, other):
    """Gives `other` the rules of `one`."""
    def run(server, *arguments, **more):
        command = [TARGET / "offergate", *arguments, "--server", f"127.0.0.1:{server.port}"]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, **more).stdout
    rules = run(one, "export")
    proposed = run(
        other, "apply", "-", "--yes", "--author", "ann", "-o", "json", input=rules,
        stderr=subprocess.DEVNULL,
    )
    change = str(json.loads(proposed)["proposal"]["id"])
    run(other, "approve", change, "--yes", "--author", "ben", stderr=subprocess.DEVNULL)


def ratio(one, other, key):
    return statistics.median(a[key] / b[key] for a, b in zip(one.rounds, other.rounds))


def report(servers):
    floor, ten = servers[0], servers[1]
    print(f"\n{'server':30} {'req/s':>9} {'of floor':>9} {'of 10':>7} {'CPU us/req':>11} {'of floor':>9} {'MiB':>6}")
    rows = []
    for server in servers:
        row = {
            "server": server.name,
            "per_second": statistics.median(each["per_second"] for each in server.rounds),
            "of_floor": ratio(server, floor, "per_second"),
            "of_10": ratio(server, ten, "per_second"),
            "cpu_us": statistics.median(each["cpu_us"] for each in server.rounds),
            "cpu_of_floor": ratio(server, floor, "cpu_us"),
            "resident_mib": server.resident_mib(),
        }
        rows.append(row)
        print(
            f"{row['server']:30} {row['per_second']:9,.0f} {row['of_floor']:9.2f} {row['of_10']:7.2f}"
            f" {row['cpu_us']:11.2f} {row['cpu_of_floor']:9.2f} {row['resident_mib']:6.1f}"
        )
    Path(TARGET / "load.json").write_text(json.dumps(rows, indent=2) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--streams", type=int, default=32)
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([TARGET / "examples/floor_input", folder], check=True)
        servers = start(folder)
        try:
            for server in servers:
                server.wait_until_it_listens()
            copy_rules(servers[1], servers[3])
            for server in servers:
                probe(server, folder / "body.bin")
                server.load(folder / "body.bin", options, 1)  # Warm up.
            for number in range(options.rounds):
                for server in servers:
                    server.rounds.append(server.load(folder / "body.bin", options, options.seconds))
                print(f"round {number + 1} of {options.rounds} done", flush=True)
            report(servers)
        finally:
            for server in servers:
                server.process.terminate()
            for server in servers:
                server.process.wait()


if __name__ == "__main__":
    main()
