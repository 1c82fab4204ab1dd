#!/usr/bin/env python3
"""A drill: loses a whole Redis, its files too, and brings everything back from one replica's journal.

    drill.py [PATH OF offergate]        DRILL_RECORDS=100000: with a history that long

Starts a Redis and three replicas on loopback, in a folder of their own, and asks all three all the time.
Does what `deploy/runbooks/disaster.md` says, prints a timeline and how long each step took, removes
everything it started, and ends with 0 only if it saw what it promises:

- what is suspended is never answered ELIGIBLE, and nothing is while the rules are not known to be new;
- everything that was ENFORCED before the loss is there after it, and the log verifies against a checkpoint
  that was kept from before;
- with a long history, copying, verifying, restoring and serving take a minute at most.
"""

import datetime
import hashlib
import json
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PROGRAM = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target/debug/offergate").resolve()
RECORDS = int(os.environ.get("DRILL_RECORDS", "0"))
NAMES = ("r1", "r2", "r3")

# Longest time for anything that is waited for, and for bringing back what was lost.
PATIENCE = 120
MOST_SECONDS = 60

BEGAN = time.monotonic()
ENVIRONMENT = {"PATH": os.environ["PATH"], "USER": "drill", "NO_COLOR": "1",
               "OFFERGATE_ANONYMOUS": "everything", "RUST_LOG": "error"}

# A change as an earlier version wrote it; long histories hold many of those.
ENTRY = (
    '{"approver":null,"at":"%s","author":"ann","change":[{"put":{"suspensions":{"old-%d":'
    '{"actions":["OFFER"],"countries":["IE"],"from":"2017-12-02T00:00:00Z","reason":"Precaution",'
    '"target":{"vendor":"gen-digital"},"ticket":"CHG-1001"}}}}],"format":1,"kind":"CREATE_SUSPENSION",'
    '"reason":"Precaution","request_id":"old-%d","revision":%d,"ticket":"CHG-1001"}'
)
# How many suspensions the long history is about, again and again.
OLD = 200

broken = []
steps = []
started = []


def say(what):
    print(f"{time.monotonic() - BEGAN:6.1f} s  {what}", flush=True)


def promise(what, is_so):
    say(f"  {'as promised' if is_so else 'BROKEN PROMISE'}: {what}")
    if not is_so:
        broken.append(what)


def give_up(why):
    say(f"gave up: {why}")
    raise SystemExit(1)


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if end < time.monotonic():
            give_up(f"{what} did not come")
        time.sleep(0.05)
    return found


class Step:
    """Tells how long something took."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        self.from_ = time.monotonic()

    def __exit__(self, kind, *_):
        took = time.monotonic() - self.from_
        if kind is None:
            steps.append((self.what, took))
            say(f"  {self.what}: {took:.1f} s")


def run(*arguments, ok=True):
    command = [PROGRAM, *map(str, arguments)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    if ok and ended.returncode != 0:
        give_up(f"{' '.join(map(str, arguments))}: {ended.stderr.strip()}")
    return ended


def told(*arguments):
    """What a command tells, as JSON."""
    return json.loads(run(*arguments, "-o", "json").stdout)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def start(command, **more):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, **more)
    started.append(process)
    return process


class Redis:
    """A server that has a change on disk before it says so."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port
        folder.mkdir()
        self.process = start(
            ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", "",
             "--logfile", "log", "--appendonly", "yes", "--appendfsync", "always",
             "--maxmemory-policy", "noeviction"],
            stdout=subprocess.DEVNULL,
        )
        until("Redis", self.answers)

    def answers(self):
        ping = ["redis-cli", "-p", str(self.port), "PING"]
        return subprocess.run(ping, capture_output=True, text=True).stdout.strip() == "PONG"

    def lose(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder)


class Replica:
    """A server, and a thread that asks it whether two customers may be offered a product."""

    def __init__(self, name, folder, url, begin):
        self.name, self.journal = name, folder / f"{name}.journal"
        key = folder / f"{name}.key"
        # What it signs is verified with this.
        self.public = run("audit", "keygen", "--key-file", key, "--name", name).stdout.strip()
        log = open(folder / f"{name}.log", "w", encoding="utf-8")
        process = start(
            [PROGRAM, "serve", "--store", url, "--replica", name, "--journal", self.journal,
             "--audit-key-file", key, "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0",
             "--workers", "1", *(["--begin-history"] if begin else [])],
            env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=log, text=True,
        )
        line = process.stdout.readline()
        if not line.startswith("listening on "):
            give_up(f"{name}: {pathlib.Path(log.name).read_text()}")
        self.address = line.split()[-1]
        self.checks = []  # sent, answered, offer, outcome

    def ask(self, offer, country="GB"):
        return run(
            "check", "--server", self.address, "--customer", "c-1", "--offer", offer, "--action", "OFFER",
            "--country", country, "--holding", "NONE", "--date-of-birth", "1985-04-12",
            "--attribute", "online_banking=true", "--channel", "WEB", ok=False,
        ).stdout.split(" ")[0] or "UNANSWERED"

    def ask_on_and_on(self, stopped):
        while not stopped.is_set():
            for offer in ("avast-12m", "kis-12m"):
                sent = time.monotonic()
                outcome = self.ask(offer)
                self.checks.append((sent, time.monotonic(), offer, outcome))

    def status(self):
        return told("status", "--server", self.address)


# What a server says that is not ready for something yet, and gets ready by itself.
NOT_YET = ("the log of changes is being read for proofs", "the journal of this replica is being written")


def once_ready(*arguments):
    """Runs a command, again for as long as a server says that it is not ready for it yet."""
    def ready():
        ended = run(*arguments, ok=False)
        # Long lines are folded at the terminal's width.
        said = " ".join(ended.stderr.replace("│", " ").split())
        not_yet = ended.returncode == 5 and any(words in said for words in NOT_YET)
        return None if not_yet else ended

    return until(f"an answer to {arguments[0]}", ready)


def by_two(server, *arguments):
    """One person proposes, another one approves, and it is waited for."""
    reasons = ["--reason", "Drill", "--ticket", "DRILL-1"]
    asked = once_ready(*arguments, *reasons, "--server", server, "-o", "json")
    if asked.returncode != 0:
        give_up(f"{' '.join(map(str, arguments))}: {asked.stderr.strip()}")
    change = json.loads(asked.stdout)["proposal"]["id"]
    return run("approve", change, "--author", "another", "--wait=60s", "--server", server)


def long_history(folder):
    """A store with many records: the rules by this version, and then changes as an earlier one wrote them."""
    path = folder / "long.db"
    server = start(
        [PROGRAM, "serve", "--store", path, "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0"],
        env=ENVIRONMENT, stdout=subprocess.PIPE, text=True,
    )
    address = server.stdout.readline().split()[-1]
    by_two(address, "apply", HERE / "barclays.rules.yaml")
    server.terminate()
    server.wait()
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")
    now = now.rstrip("0").rstrip(".") + "Z"
    with sqlite3.connect(path) as store:
        revision, chain = store.execute("SELECT revision, chain FROM head").fetchone()
        while revision < RECORDS:
            revision += 1
            entry = ENTRY % (now, revision % OLD, revision, revision)
            text = entry.encode()
            chain = hashlib.sha256(bytes.fromhex(chain) + len(text).to_bytes(8, "big") + text).hexdigest()
            store.execute("INSERT INTO records VALUES (?, ?, ?, ?)", (revision, chain, f"old-{revision}", entry))
            store.execute("UPDATE head SET revision = ?, chain = ?", (revision, chain))
    store.close()
    return path


def outcomes(replicas, offer, since, until_=float("inf")):
    return {
        outcome
        for replica in replicas
        for sent, answered, of, outcome in list(replica.checks)
        if of == offer and since <= sent and answered <= until_
    }


def drill(folder):
    port = free_port()
    url = f"redis://127.0.0.1:{port}"
    redis = Redis(folder / "redis", port)
    if RECORDS:
        history = long_history(folder)
        run("restore", history, "--store", url)
        say(f"a Redis with a history of {RECORDS:,} records")
    replicas = [Replica(name, folder, url, begin=not RECORDS and name == "r1") for name in NAMES]
    first, public = replicas[0].address, replicas[0].public
    if not RECORDS:
        by_two(first, "apply", HERE / "barclays.rules.yaml")
    say("three replicas serve the Barclays rules from one Redis; checks go to each, all the time")
    stopped = threading.Event()
    threads = [
        threading.Thread(target=replica.ask_on_and_on, args=(stopped,)) for replica in replicas
    ]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        until("ELIGIBLE everywhere", lambda: all(
            any(check[3] == "ELIGIBLE" for check in list(replica.checks)) for replica in replicas
        ))
        suspend = ["suspend", "offer", "avast-12m", "--country", "IE", "--id"]
        enforced = by_two(first, *suspend, "drill-1").stderr
        say(f"SUSPEND avast-12m in Ireland: {enforced.strip().splitlines()[-1]}")
        checkpoint = folder / "before.checkpoint"
        checkpoint.write_text(once_ready("audit", "checkpoint", "--server", first).stdout)
        say("a checkpoint of the log is kept elsewhere")
        before = replicas[0].status()["in_effect"]

        say("LOSE the Redis: kill -9, and its files are deleted")
        redis.lose()
        lost = time.monotonic()
        with Step("until no replica answers ELIGIBLE any more"):
            until("INDETERMINATE everywhere", lambda: all(
                replica.checks[-2][3] == "INDETERMINATE" or replica.checks[-1][3] == "INDETERMINATE"
                for replica in replicas
            ))
        closed = time.monotonic()
        redis = Redis(folder / "new-redis", port)
        say("an empty Redis is in its place; `offergate status` says:")
        trouble = until("trouble", lambda: replicas[0].status()["trouble"])
        say(f"  {trouble}")

        standing = {replica: replica.status()["in_effect"] for replica in replicas}
        furthest = max(standing, key=standing.get)
        say(f"RESTORE from the journal of {furthest.name}, which is at revision {standing[furthest]}")
        commands = time.monotonic()
        copy = folder / "copy.db"
        with Step("copy of the journal, which a replica is using"):
            copied = told("backup", copy, "--store", furthest.journal)
        promise("the copy has all that was in effect", copied["revision"] == standing[furthest] >= before)
        with Step("verifying it against the checkpoint from before"):
            verdict = run(
                "audit", "verify", "--key", public, "--log", copy, "--checkpoint", checkpoint, ok=False
            )
        say(f"  {verdict.stdout.splitlines()[0]}")
        promise("nothing in it was altered", verdict.returncode == 0)
        with Step("restoring it into the empty Redis"):
            restored = told("restore", copy, "--store", url)
        promise("the store stands where the replica stood", restored["revision"] == copied["revision"])
        restoring = time.monotonic()
        with Step("until every replica answers ELIGIBLE again"):
            until("ELIGIBLE everywhere", lambda: all(
                any(check[3] == "ELIGIBLE" for check in list(replica.checks) if restoring <= check[0])
                for replica in replicas
            ))
        served = time.monotonic()
        asked = {replica.name: replica.ask("avast-12m", "IE") for replica in replicas}
        promise("what was enforced before the loss holds on every replica", set(asked.values()) == {"INELIGIBLE"})
        again = by_two(first, *suspend, "drill-2").stderr.strip().splitlines()[-1]
        say(f"SUSPEND once more: {again}")
        promise("a change is enforced on all three", "enforced on 3 of 3 replicas" in again)
        with Step("verifying the log that is served now"):
            verdict = once_ready("audit", "verify", "--key", public, "--server", first)
        say(f"  {verdict.stdout.splitlines()[0] if verdict.stdout else verdict.stderr.strip()}")
        promise("it is intact, and signed", verdict.returncode == 0)
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    promise("what is suspended was never answered ELIGIBLE", "ELIGIBLE" not in outcomes(replicas, "kis-12m", began))
    promise("nothing was, while nobody knew the newest rules",
            "ELIGIBLE" not in outcomes(replicas, "avast-12m", closed, commands))
    checks = [check for replica in replicas for check in replica.checks]
    late = sum(check[3] == "UNANSWERED" for check in checks)
    say(f"{len(checks)} checks were sent; {late} of them had no answer in time")
    took = served - commands
    if RECORDS:
        promise(f"copied, verified, restored and served in {took:.1f} s", took <= MOST_SECONDS)
    print(f"\n{copied['revision']:,} records; {took:.1f} s from the first command to ELIGIBLE on every replica,")
    print(f"{served - lost:.1f} s from the loss:")
    for what, took in steps:
        print(f"  {took:6.1f} s  {what}")


def main():
    if not PROGRAM.exists():
        give_up(f"{PROGRAM} is not there; run `cargo build` first")
    with tempfile.TemporaryDirectory(prefix="offergate-drill.") as folder:
        try:
            drill(pathlib.Path(folder))
        except SystemExit:
            for log in sorted(pathlib.Path(folder).glob("r?.log")):
                print(f"{log.name}: {log.read_text()[-2000:]}")
            raise
        finally:
            for process in started:
                process.kill()
                process.wait()
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
