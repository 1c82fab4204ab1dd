#!/usr/bin/env python3
"""Records decisions of a real server under load, and decides all of them again.

    replay.py [--decisions 1000000] [--threads N]

The server records completely while h2load asks it for batches of a thousand different checks; twice in between
two people change the rules, so that the log rests on several revisions. Then `offergate audit replay` decides
every record again, by the compiled rules and by their slow twin. Ends with 1 if anything differs, or if a
decision is missing. In between the log is verified.
"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "floor"))
import load  # noqa: E402

METHOD = "/offergate.v1.EligibilityService/BatchCheckEligibility"
BATCH = 1_000


def offergate(server, *arguments):
    command = [load.TARGET / "offergate", *arguments, "--server", f"127.0.0.1:{server.port}", "-o", "json", "--quiet"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def change_rules(server, number):
    """Suspends one more vendor, by two people."""
    vendor = sorted(json_vendors(server))[number]
    proposed = offergate(
        server, "suspend", "vendor", vendor, "--id", f"replayed-{number}", "--country", "GB",
        "--reason", "bench", "--ticket", "B-1", "--yes", "--author", "ann",
    )
    offergate(server, "approve", str(proposed["proposal"]["id"]), "--yes", "--author", "ben")


def json_vendors(server):
    rules = subprocess.run(
        [load.TARGET / "offergate", "export", "--quiet", "--server", f"127.0.0.1:{server.port}"],
        check=True, stdout=subprocess.PIPE, text=True,
    ).stdout
    section = rules.split("vendors:\n", 1)[1]
    for line in section.splitlines():
        if not line.startswith(" "):
            return
        if line.startswith("  ") and not line.startswith("   ") and ":" in line:
            yield line.strip().split(":")[0]


def ask(server, body, calls):
    output = subprocess.run(
        ["h2load", "-t1", "-c1", "-m2", f"-n{calls}", "-H", "content-type: application/grpc", "-H", "te: trailers",
         "-d", str(body), f"http://127.0.0.1:{server.port}{METHOD}"],
        capture_output=True, text=True, check=True,
    ).stdout
    if f"{calls} succeeded" not in output:
        raise SystemExit(f"batches were lost\n{output}")


def verify(log, records):
    """How many records a second are verified, most of them compressed."""
    speeds = []
    for _ in range(5):
        begun = time.monotonic()
        command = [load.TARGET / "offergate", "audit", "decisions", "verify", "--unsigned", "-o", "json", log]
        found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        speeds.append(records / (time.monotonic() - begun))
        if found["verdict"] != "INTACT" or found["records"] != records:
            raise SystemExit(f"of {records:,} records {found['records']:,} are there, {found['verdict']}")
    print(f"audit decisions verify: {statistics.median(speeds):,.0f} records/s [{min(speeds):,.0f} to {max(speeds):,.0f}]")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--decisions", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_DIR")) as name:
        folder = Path(name)
        subprocess.run([load.TARGET / "examples/floor_input", folder], check=True)
        bodies = sorted(folder.glob("batch-*.bin"))
        calls = -(-options.decisions // (len(bodies) * BATCH))
        port, log = load.free_port(), folder / "log"
        server = load.Server("offergate", [
            load.TARGET / "offergate", "serve", "--workers", 1, "--store", folder / "10.db",
            "--listen", f"127.0.0.1:{port}", "--management-listen", f"127.0.0.1:{load.free_port()}",
            "--decision-log", "complete", "--decision-log-dir", log,
        ], port)
        begun = time.monotonic()
        try:
            server.wait_until_it_listens()
            for number, body in enumerate(bodies):
                if number in (len(bodies) // 3, 2 * len(bodies) // 3):
                    change_rules(server, number)
                ask(server, body, calls)
        finally:
            server.process.terminate()
            server.process.wait()
        asked = len(bodies) * calls * BATCH
        print(f"{asked:,} decisions made and recorded in {time.monotonic() - begun:.0f} s", flush=True)
        verify(log, asked)
        begun = time.monotonic()
        output = subprocess.run(
            [load.TARGET / "offergate", "audit", "replay", log, "--store", folder / "10.db",
             "--threads", str(options.threads), "-o", "json"], stdout=subprocess.PIPE, text=True,
        ).stdout
        seconds = time.monotonic() - begun
        found = json.loads(output)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        print(
            f"replay: {found['replayed']:,} decisions in {seconds:.1f} s on {options.threads} threads,"
            f" {found['replayed'] / seconds:,.0f} a second; {found['differing']} differ,"
            f" {found['not_replayed']} not replayed; no child took more than {memory:.0f} MiB"
        )
        if found["differing"] or found["not_replayed"] or found["replayed"] != asked:
            raise SystemExit(f"of {asked:,} decisions {found['replayed']:,} were decided again")


if __name__ == "__main__":
    main()
