#!/usr/bin/env python3
"""How fast `offergate batch decide` is, against only reading and writing the same rows.

Makes customers with `batch sample`, and decides them against a server with the demonstration's rules. What it
is compared with is the same job with `--copy-only`: the same reader, threads, writer and fsync and the same
columns, with one answer for all rows, which are not looked at. Both are run in turn, and the ratio is the
median of the pairs, so that a machine that is busy for a while slows down both.

  benches/batch.py [ROWS]     10,000,000 without it
"""

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROWS = int(sys.argv[1]) if sys.argv[1:] else 10_000_000
DAY = 290_000
ROUNDS = 5
ROOT = Path(__file__).resolve().parent.parent
OFFERGATE = ROOT / "target/release/offergate"
RULES = ROOT / "deploy/demo/barclays.rules.yaml"
# An id and eight attributes.
COLUMNS = (
    "id,relationship,country,segment,date_of_birth,us_person,vulnerable,"
    "attributes.online_banking,holdings.kis.status"
)


def timed(command):
    """Seconds, and the most memory of this one process in MiB."""
    start = time.perf_counter()
    process = subprocess.Popen([str(part) for part in command])
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, command
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def sample(path, rows, columns=COLUMNS):
    command = [OFFERGATE, "batch", "sample", "--quiet", "--customers", rows, "--output", path]
    return timed([*command, *(["--columns", columns] if columns else [])])


def job(server, source, target, *more):
    command = [OFFERGATE, "batch", "decide", "--quiet", "--server", server, "--input", source]
    command += ["--output", target, "--offer", "kis-12m", "--action", "OFFER"]
    return timed([*command, "--as-of", "2017-12-02T09:00:00Z", *more])


class Server:
    """A server with rules that two people made."""

    def __init__(self, folder, rules):
        command = [OFFERGATE, "serve", "--store", folder / f"{rules.stem}.db"]
        command += ["--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"]
        environment = {**os.environ, "RUST_LOG": "error", "OFFERGATE_ANONYMOUS": "everything"}
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
        self.address = re.match("listening on (.*)", self.process.stdout.readline())[1]
        said = self.call("apply", "--author", "ann", "-o", "json", rules)
        self.call("approve", str(json.loads(said)["proposal"]["id"]), "--author", "ben")

    def call(self, *command):
        command = [OFFERGATE, *command, "--quiet", "--server", self.address]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def against_copy(server, folder, form, rows):
    source, target = folder / f"in.{form}", folder / f"out.{form}"
    made, _ = sample(source, rows)
    pairs, most = [], 0
    for _ in range(ROUNDS):
        copied, _ = job(server, source, target, "--copy-only")
        decided, memory = job(server, source, target)
        pairs.append((decided, copied))
        most = max(most, memory)
    ratio = statistics.median(decided / copied for decided, copied in pairs)
    decided = statistics.median(decided for decided, _ in pairs)
    copied = statistics.median(copied for _, copied in pairs)
    print(
        f"batch decide {form:7} {rows:>10,} rows: {decided:6.2f} s, {rows / decided:>10,.0f} rows/s, copy "
        f"{copied:.2f} s, ratio {ratio:.2f}, at most {most:.0f} MiB; made in {made:.1f} s",
        flush=True,
    )


def whole_day(server, folder, form):
    """All columns, from the start of the process to its summary."""
    source, target = folder / f"day.{form}", folder / f"decided.{form}"
    sample(source, DAY, columns=None)
    runs = [job(server, source, target) for _ in range(ROUNDS)]
    seconds = statistics.median(run[0] for run in runs)
    print(
        f"batch decide {form:7} {DAY:>10,} rows: {seconds:6.2f} s with all 14 columns, at most "
        f"{max(run[1] for run in runs):.0f} MiB",
        flush=True,
    )


def rules_with(folder, suspensions):
    """The demonstration's rules, and as many suspensions, two an offer."""
    text = RULES.read_text()
    offers = range(suspensions // 2)
    parts = {
        "vendors": "  v{0}: {{name: Vendor {0}}}",
        "products": "  p{0}: {{name: Product {0}, class: ANTIVIRUS, vendors: [v{0}], components: []}}",
        "offers": "  o{0}: {{product: p{0}, title: Offer {0}}}",
        "suspensions": "  s{0}-{1}: {{target: {{offer: {2}}}, actions: [OFFER], segments: [{1}], "
        'from: "2017-01-01T00:00:00Z", ticket: CHG-1, reason: Measured}}',
    }
    for part, form in parts.items():
        lines = []
        for number in offers:
            if part != "suspensions":
                lines.append(form.format(number))
                continue
            # The asked offer has two of them, however many there are.
            offer = f"o{number}" if number else "kis-12m"
            lines += [form.format(number, segment, offer) for segment in ("BUSINESS", "CNI")]
        text = text.replace(f"\n{part}:\n", f"\n{part}:\n" + "\n".join(lines) + "\n", 1)
    path = folder / f"rules-{suspensions}.yaml"
    path.write_text(text)
    return path


def many_suspensions(folder, form, rows):
    source, target = folder / f"in.{form}", folder / f"out.{form}"
    sample(source, rows)
    few, many = rules_with(folder, 10), rules_with(folder, 10_000)
    with Server(folder, few) as few, Server(folder, many) as many:
        pairs = [
            (job(many.address, source, target)[0], job(few.address, source, target)[0])
            for _ in range(ROUNDS)
        ]
    ratio = statistics.median(of_many / of_few for of_many, of_few in pairs)
    print(
        f"batch decide {form:7} {rows:>10,} rows: 10,000 suspensions take {ratio:.2f} times as long as 10",
        flush=True,
    )


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Server(folder, RULES) as server:
            for form in ("parquet", "csv", "jsonl"):
                whole_day(server.address, folder, form)
            for form in ("parquet", "csv"):
                against_copy(server.address, folder, form, ROWS // 5)
                against_copy(server.address, folder, form, ROWS)
        many_suspensions(folder, "parquet", ROWS)


if __name__ == "__main__":
    main()
