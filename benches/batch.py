#!/usr/bin/env python3
"""How fast `offergate batch decide` is, and how much memory it takes.

Writes a million and then four million customers as CSV, turns them into Parquet by the job itself, and
decides each file some times against a server with the demonstration's rules. Tells rows a second, the time
of a plain copy of the same bytes, and the most memory; that must not grow with the number of rows.
In the Parquet file every column is a text, so its truth values are decided as ATTRIBUTE_INVALID.
"""

import json
import os
import random
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROWS = (1_000_000, 4_000_000)
ROUNDS = 3
ROOT = Path(__file__).resolve().parent.parent
OFFERGATE = ROOT / "target/release/offergate"
HEADER = "id,country,segment,attributes.online_banking,date_of_birth,vulnerable,holding.status,channel\n"


def write_customers(path, rows):
    draw = random.Random(1)
    with open(path, "w", encoding="ascii") as file:
        file.write(HEADER)
        for number in range(rows):
            country = draw.choices(("GB", "IE", "FR", "UK"), (90, 7, 2, 1))[0]
            status = draw.choices(("NONE", "ACTIVE", "LAPSED", ""), (80, 15, 4, 1))[0]
            born = f"{draw.randint(1930, 2012)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
            banking = draw.choices(("true", "false"), (9, 1))[0]
            file.write(f"c-{number},{country},RETAIL,{banking},{born},false,{status},WEB\n")


def decide(server, source, target, more=()):
    """Seconds, and the most memory of this one process in MiB."""
    command = [OFFERGATE, "batch", "decide", "--quiet", "--server", server, "--input", source]
    command += ["--output", target, "--offer", "kis-12m", "--action", "OFFER", *more]
    start = time.perf_counter()
    process = subprocess.Popen(command)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def copy(source, target):
    start = time.perf_counter()
    with open(source, "rb") as read, open(target, "wb") as write:
        while block := read.read(1 << 20):
            write.write(block)
        os.fsync(write.fileno())
    return time.perf_counter() - start


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [OFFERGATE, "serve", "--store", folder / "rules.db"]
        command += ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"]
        environment = {**os.environ, "RUST_LOG": "error", "OFFERGATE_ANONYMOUS": "everything"}
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        try:
            address = re.match("listening on (.*)", server.stdout.readline())[1]
            rules = ROOT / "deploy/demo/barclays.rules.yaml"
            said = subprocess.run(
                [OFFERGATE, "apply", "--quiet", "--author", "ann", "-o", "json", "--server", address, rules],
                check=True, stdout=subprocess.PIPE,
            ).stdout
            change = str(json.loads(said)["proposal"]["id"])
            approve = [OFFERGATE, "approve", change, "--quiet", "--author", "ben", "--server", address]
            subprocess.run(approve, check=True, stdout=subprocess.DEVNULL)
            for rows in ROWS:
                source, parquet = folder / "in.csv", folder / "in.parquet"
                write_customers(source, rows)
                decide(address, source, parquet)
                measure(address, folder, source, rows, ".csv", ())
                measure(address, folder, parquet, rows, ".parquet", map_of(folder))
        finally:
            server.terminate()
            server.wait()


def map_of(folder):
    """The job's own columns in a job's output are carried by nobody."""
    names = "offer outcome reasons suspensions exemptions alternate valid_until revision as_of"
    path = folder / "map.yaml"
    path.write_text("columns: {%s}\n" % ", ".join(f"{name}: null" for name in names.split()))
    return ("--map", path)


def measure(address, folder, source, rows, form, more):
    target = folder / f"out{form}"
    runs = [decide(address, source, target, more) for _ in range(ROUNDS)]
    seconds = statistics.median(run[0] for run in runs)
    most = max(run[1] for run in runs)
    plain = copy(source, folder / "copy")
    size = source.stat().st_size / rows
    print(
        f"batch decide {form[1:]:8} {rows:>10,} rows: {rows / seconds:>12,.0f} rows/s, {seconds:.2f} s, "
        f"{size:.0f} bytes a row, plain copy {plain:.2f} s, {most:.0f} MiB"
    )


if __name__ == "__main__":
    main()
