#!/usr/bin/env python3
"""What callers notice when a store's primary dies and a sentinel promotes another node.

Three nodes of Redis, a sentinel that gives a primary up after 2 s, and one replica with the default limit of
5 s. Each round kills the primary and asks on and on until the next primary is written to; it counts the
rounds in which nobody was answered INDETERMINATE. Needs `redis-server`: `tests/tools/setup.sh redis`.
"""

import json
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROUNDS = 20
OFFERGATE = Path(__file__).resolve().parent.parent / "target/release/offergate"
RULES = """
vendors: {acme: {name: Acme}}
products: {shield: {name: Shield, class: ANTIVIRUS, vendors: [acme], components: []}}
offers: {shield-12m: {product: shield}}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port, *command):
    answer = subprocess.run(
        ["redis-cli", "-p", str(port), *map(str, command)], capture_output=True, text=True
    )
    return answer.stdout.strip()


def until(what, holds, seconds=60):
    end = time.monotonic() + seconds
    while not holds():
        if end < time.monotonic():
            raise SystemExit(f"{what}: not within {seconds} s")
        time.sleep(0.02)


class Nodes:
    """The nodes and their sentinel."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = [free_port() for _ in range(3)]
        self.sentinel = free_port()
        self.running = {}
        for port in self.ports:
            self.start(port, None if port == self.ports[0] else self.ports[0])
        settings = folder / "sentinel.conf"
        settings.write_text(
            f"port {self.sentinel}\nsentinel monitor main 127.0.0.1 {self.ports[0]} 1\n"
            "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 5000\n"
        )
        self.running[self.sentinel] = subprocess.Popen(
            ["redis-server", settings, "--sentinel"], stdout=subprocess.DEVNULL
        )
        until("the sentinel knows the followers", self.is_whole)

    def start(self, port, primary):
        folder = self.folder / str(port)
        folder.mkdir(exist_ok=True)
        command = [
            "redis-server", "--port", str(port), "--dir", folder, "--appendonly", "yes",
            "--appendfsync", "always", "--save", "", "--maxmemory-policy", "noeviction",
            # A follower has its first copy at once, and not only 5 s after it asked.
            "--repl-diskless-sync-delay", "0",
        ]
        if primary:
            command += ["--replicaof", "127.0.0.1", str(primary)]
        self.running[port] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until("a node answers", lambda: ask(port, "PING") == "PONG")

    def primary(self):
        lines = ask(self.sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", "main").splitlines()
        return int(lines[1]) if len(lines) == 2 else None

    def is_whole(self):
        primary = self.primary()
        if primary not in self.ports:
            return False
        # A follower that is listed may still wait for its first copy.
        return ask(primary, "INFO", "replication").count("state=online") == 2

    def kill(self, port):
        self.running.pop(port).kill()

    def stop(self):
        for process in self.running.values():
            process.kill()


class Bank:
    """One replica, and the people who use it."""

    def __init__(self, nodes, folder):
        command = [
            OFFERGATE, "serve", "--listen", "127.0.0.1:0", "--management-listen", "127.0.0.1:0",
            "--store", f"redis+sentinel://127.0.0.1:{nodes.sentinel}/main", "--store-nodes", "3",
            "--begin-history", "--journal", folder / "journal.db", "--anonymous", "everything",
        ]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        self.address = self.process.stdout.readline().split()[-1]
        rules = folder / "rules.yaml"
        rules.write_text(RULES)
        proposed = self.run("apply", rules, "--yes", "--author", "ann", "-o", "json")
        change = json.loads(proposed.stdout)["proposal"]["id"]
        self.run("approve", change, "--yes", "--author", "ben")

    def run(self, *arguments, check=True):
        command = [OFFERGATE, *arguments, "--server", self.address]
        return subprocess.run(list(map(str, command)), check=check, capture_output=True, text=True)

    def outcome(self):
        answer = self.run(
            "check", "--customer", "c-1", "--offer", "shield-12m", "--action", "OFFER",
            "--holding", "NONE", "-o", "json", check=False,
        )
        return json.loads(answer.stdout)["outcome"] if answer.stdout else "none"


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        nodes = Nodes(folder)
        bank = Bank(nodes, folder)
        quiet, asked, took = 0, 0, []
        try:
            until("the first answer", lambda: bank.outcome() == "ELIGIBLE")
            for _ in range(ROUNDS):
                killed = nodes.primary()
                nodes.kill(killed)
                start, outcomes, promoted = time.monotonic(), [], None
                # On past the limit: an answer must rest on the next primary by then.
                while promoted is None or time.monotonic() < start + 8:
                    outcomes.append(bank.outcome())
                    if promoted is None and nodes.primary() != killed:
                        promoted = time.monotonic()
                took.append(promoted - start)
                asked += len(outcomes)
                quiet += set(outcomes) == {"ELIGIBLE"}
                nodes.start(killed, nodes.primary())
                until("all nodes follow again", nodes.is_whole)
        finally:
            bank.process.kill()
            nodes.stop()
    print(
        f"fail-over behind a sentinel: {quiet} of {ROUNDS} without an INDETERMINATE, {asked:,} checks; "
        f"another primary after {statistics.median(took):.1f} s"
    )


if __name__ == "__main__":
    main()
