#!/usr/bin/env python3
"""How fast `offergate batch send` goes through its ledger, how large that gets, and how long a resume takes.

Dry run: 200,000 recipients, each decided, rendered and written into a file, with its intent and its outcome
forced to disk. Ledger: 10,000,000 recipients of a suspended offer, each decided and left with a reason; the
sender is killed when a fifth is left, and resumed. ROWS in the environment makes the second one smaller.
"""

import json
import os
import random
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

MAILED = 200_000
LISTED = int(os.environ.get("ROWS", "10000000"))
ROUNDS = 3
ROOT = Path(__file__).resolve().parent.parent
OFFERGATE = Path(os.environ.get("OFFERGATE", ROOT / "target/release/offergate"))
HEADER = "id,country,segment,attributes.online_banking,date_of_birth,vulnerable,holding.status,first_name,email\n"
TEMPLATE = """\
from: Example Bank <service@bank.example>
subject: Your antivirus, {{ first_name }}
text: |
  Dear {{ first_name }},
  as a customer of ours you can have twelve months of protection for free.
  Example Bank
"""


def write_customers(path, rows):
    draw = random.Random(1)
    with open(path, "w", encoding="ascii") as file:
        file.write(HEADER)
        for n in range(rows):
            born = f"{draw.randint(1930, 2005)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
            file.write(f"c-{n},IE,RETAIL,true,{born},false,NONE,Name{n % 997},c{n}@mail{n % 50}.example\n")


def offergate(server, *arguments, **more):
    command = [OFFERGATE, *map(str, arguments), "--server", server]
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def propose(server, folder, name, people):
    told = offergate(
        server, "batch", "propose", "--id", name, "--audience", people, "--template", folder / "t.yaml",
        "--offer", "kis-12m", "--action", "OFFER", "--until", "2099-01-01T00:00:00Z", "--rate", "1000000000",
        "--reason", "bench", "--ticket", "B-1", "--author", "ann", "--write", folder / f"{name}.json", "-o", "json",
    )
    offergate(server, "approve", json.loads(told)["change"], "--author", "zoe")


def send(server, folder, name, people):
    return [
        OFFERGATE, "batch", "send", "--quiet", "--mailing", folder / f"{name}.json", "--audience", people,
        "--template", folder / "t.yaml", "--ledger", folder / f"{name}.db", "--dry-run", folder / f"{name}.out",
        "--server", server,
    ]


def size_of(ledger):
    return sum(path.stat().st_size for path in ledger.parent.glob(ledger.name + "*") if path.is_file())


def status(ledger):
    told = subprocess.run(
        [OFFERGATE, "batch", "status", "--ledger", ledger, "-o", "json"], capture_output=True, text=True
    )
    return json.loads(told.stdout)["recipients"] if told.returncode == 0 else {"pending": 1 << 62}


def measure_dry_run(server, folder):
    people = folder / "mailed.csv"
    write_customers(people, MAILED)
    rates = []
    for number in range(ROUNDS):
        name = f"dry-{number}"
        propose(server, folder, name, people)
        start = time.perf_counter()
        subprocess.run(send(server, folder, name, people), check=True)
        rates.append(MAILED / (time.perf_counter() - start))
        assert status(folder / f"{name}.db")["sent"] == MAILED
        shutil.rmtree(folder / f"{name}.out")
    rates.sort()
    print(f"dry run: {rates[len(rates) // 2]:,.0f} recipients/s ({', '.join(f'{it:,.0f}' for it in rates)})")


def measure_ledger(server, folder):
    people = folder / "listed.csv"
    write_customers(people, LISTED)
    propose(server, folder, "listed", people)
    told = json.loads(offergate(
        server, "suspend", "offer", "kis-12m", "--reason", "bench", "--ticket", "B-2", "--author", "ann",
        "-o", "json", "--yes",
    ))
    offergate(server, "approve", told["proposal"]["id"], "--author", "zoe", "--yes")
    ledger = folder / "listed.db"
    start = time.perf_counter()
    process = subprocess.Popen(send(server, folder, "listed", people))
    while status(ledger)["pending"] > LISTED // 5:
        assert process.poll() is None
        time.sleep(0.2)
    process.kill()
    process.wait()
    took = time.perf_counter() - start
    left = status(ledger)["pending"]
    print(f"ledger: {(LISTED - left) / took:,.0f} recipients/s, to {LISTED - left:,} of {LISTED:,}")
    print(f"ledger: {size_of(ledger) / (LISTED - left):.1f} bytes a recipient")
    start = time.perf_counter()
    process = subprocess.Popen([OFFERGATE, "batch", "resume", "--quiet", "--ledger", ledger, "--server", server])
    while status(ledger)["pending"] == left:
        assert process.poll() is None
        time.sleep(0.05)
    print(f"resume: {time.perf_counter() - start:.1f} s until the first new outcome")
    _, _, usage = os.wait4(process.pid, 0)
    print(f"resume: {usage.ru_maxrss / 1024:,.0f} MiB at most")
    assert status(ledger)["not_sent"] == LISTED


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "t.yaml").write_text(TEMPLATE)
        environment = {**os.environ, "OFFERGATE_ANONYMOUS": "everything", "RUST_LOG": "warn"}
        command = [OFFERGATE, "serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"]
        serve = subprocess.Popen(
            [*command, "--store", folder / "rules.db"], stdout=subprocess.PIPE, text=True, env=environment
        )
        try:
            server = re.match("listening on (.*)", serve.stdout.readline()).group(1)
            rules = ROOT / "deploy/demo/barclays.rules.yaml"
            told = json.loads(offergate(server, "apply", rules, "--author", "ann", "-o", "json", "--yes"))
            offergate(server, "approve", told["proposal"]["id"], "--author", "zoe", "--yes")
            measure_dry_run(server, folder)
            measure_ledger(server, folder)
        finally:
            serve.terminate()
            serve.wait()


if __name__ == "__main__":
    main()
