#!/usr/bin/env python3
"""Compares the server without a decision log, with a sample of 1 %, and with a complete one.

    decisions.py [--seconds 3] [--rounds 5] [--clients 8] [--streams 32]

The three run side by side on one core, their logs' writers included; h2load runs on another core and asks
each in turn, round after round. Told are medians and ratios to the server without a log in the same round.
Then the complete log is verified on the load's core: how many records a second.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

import load


def start(folder):
    modes = {
        "no decision log": [],
        "sampled, 1 %": ["--decision-log", "sampled", "--decision-log-sample", "0.01"],
        "complete": ["--decision-log", "complete"],
    }
    servers = []
    for name, flags in modes.items():
        port, management = load.free_port(), load.free_port()
        own = folder / str(len(servers))
        own.mkdir()
        if flags:
            flags = flags + ["--decision-log-dir", own / "log"]
        # The store of the load comparison, closed and whole: each server has its own copy.
        shutil.copy(folder / "10.db", own / "10.db")
        command = [
            load.TARGET / "offergate", "serve", "--workers", 1, "--store", own / "10.db",
            "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{management}", *flags,
        ]
        server = load.Server(name, command, port)
        server.log = own / "log"
        servers.append(server)
    return servers


def p99(path):
    """Of the durations in h2load's log, in microseconds."""
    durations = sorted(int(line.split("\t")[2]) for line in open(path))
    return durations[len(durations) * 99 // 100]


def measure(server, folder, options):
    before = server.cpu_seconds()
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    output = subprocess.run(
        ["taskset", "-c", load.LOAD_CORE, "h2load", "-t1", f"-c{options.clients}",
         f"-m{options.streams}", f"-D{options.seconds}", "-H", "content-type: application/grpc",
         "-H", "te: trailers", "-d", str(folder / "body.bin"), f"--log-file={log}",
         f"http://127.0.0.1:{server.port}{load.METHOD}"],
        capture_output=True, text=True, check=True,
    ).stdout
    done = int(load.re.search(r"(\d+) done", output)[1])
    cpu = (server.cpu_seconds() - before) / done * 1e6
    return {"per_second": done / options.seconds, "cpu_us": cpu, "p99_us": p99(log)}


def report(servers):
    plain = servers[0]
    print(f"\n{'server':18} {'req/s':>9} {'of none':>8} {'CPU us/req':>11} {'of none':>8} {'p99 us':>8} {'of none':>8}")
    rows = []
    for server in servers:
        row = {"server": server.name}
        for key in ("per_second", "cpu_us", "p99_us"):
            row[key] = statistics.median(each[key] for each in server.rounds)
            row[f"{key}_of_none"] = load.ratio(server, plain, key)
        rows.append(row)
        print(
            f"{row['server']:18} {row['per_second']:9,.0f} {row['per_second_of_none']:8.2f}"
            f" {row['cpu_us']:11.2f} {row['cpu_us_of_none']:8.2f}"
            f" {row['p99_us']:8.0f} {row['p99_us_of_none']:8.2f}"
        )
    (load.TARGET / "decisions.json").write_text(json.dumps(rows, indent=2) + "\n")


def verify(log):
    begun = time.monotonic()
    output = subprocess.run(
        ["taskset", "-c", load.LOAD_CORE, load.TARGET / "offergate", "audit", "decisions", "verify",
         "--unsigned", log, "-o", "json"], capture_output=True, text=True, check=True,
    ).stdout
    seconds = time.monotonic() - begun
    found = json.loads(output)
    print(
        f"\nverify: {found['records']:,} records in {seconds:.2f} s, "
        f"{found['records'] / seconds:,.0f} a second; {found['missing']} missing"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--streams", type=int, default=32)
    options = parser.parse_args()
    if (os.cpu_count() or 1) < 2:
        raise SystemExit("two cores are needed: one for the server, one for the load")
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        subprocess.run([load.TARGET / "examples/floor_input", folder], check=True)
        servers = start(folder)
        try:
            for server in servers:
                server.wait_until_it_listens()
                load.probe(server, folder / "body.bin")
                server.load(folder / "body.bin", options, 1)  # Warm up.
            for number in range(options.rounds):
                for server in servers:
                    server.rounds.append(measure(server, folder, options))
                print(f"round {number + 1} of {options.rounds} done", flush=True)
            report(servers)
        finally:
            for server in servers:
                server.process.terminate()
            for server in servers:
                server.process.wait()
        verify(servers[2].log)


if __name__ == "__main__":
    main()
