#!/usr/bin/env python3
"""How many records a second `offergate audit verify` reads.

Writes a log of a million suspensions as JSON lines, as `audit export` does, with a checkpoint that is signed with a
new key; has it verified some times, and tells the median. The same without a signature takes longer: what nobody
signed is read as JSON besides. The file is in the page cache: what is measured is hashing and reading, not the disk.
"""

import base64
import hashlib
import json
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

RECORDS = 1_000_000
ROUNDS = 5
OFFERGATE = Path(__file__).resolve().parent.parent / "target/release/offergate"

ENTRY = (
    '{"approver":null,"at":"2017-12-02T00:00:00Z","author":"ann","change":[{"put":{"suspensions":{"s-%d":'
    '{"actions":["OFFER","ACTIVATE","REACTIVATE","RENEW"],"countries":["GB"],"from":"2017-12-02T00:00:00Z",'
    '"reason":"Precautionary decision","target":{"vendor":"kaspersky-labs-ltd"},"ticket":"CHG-1001"}}}}],'
    '"format":1,"kind":"CREATE_SUSPENSION","reason":"Precautionary decision",'
    '"request_id":"01a209f5-9f51-7610-a656-%012d","revision":%d,"ticket":"CHG-1001"}'
)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


class Tree:
    """The Merkle tree of RFC 6962, of which only the roots of complete parts are kept."""

    def __init__(self):
        self.size, self.peaks = 0, []

    def push(self, entry):
        top = sha256(b"\0", entry)
        size = self.size
        while size % 2:
            top = sha256(b"\1", self.peaks.pop(), top)
            size //= 2
        self.peaks.append(top)
        self.size += 1

    def root(self):
        root, *left = reversed(self.peaks)
        for peak in left:
            root = sha256(b"\1", peak, root)
        return root


def write_records(path):
    """Writes the log; returns what is to be signed of it."""
    chain, tree = bytes(32), Tree()
    with open(path, "w", encoding="ascii") as log:
        for number in range(1, RECORDS + 1):
            entry = ENTRY % (number, number, number)
            chain = sha256(chain, len(entry).to_bytes(8, "big"), entry.encode())
            tree.push(entry.encode())
            log.write(f'{{"revision":{number},"chain":"{chain.hex()}","entry":{entry}}}\n')
    root = base64.b64encode(tree.root()).decode()
    return f"offergate/{'0' * 32}\n{RECORDS}\n{root}\nchain {chain.hex()}\n"


def sign(text, folder):
    """Signs a checkpoint with a new key; returns it and the key that verifies it."""
    key, seed, unsigned = folder / "audit.key", folder / "seed.der", folder / "unsigned"
    command = [OFFERGATE, "audit", "keygen", "--quiet", "--key-file", key, "-o", "json"]
    made = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    name, number, verifier = json.loads(made)["verifier_key"].split("+", 2)
    private = base64.b64decode(key.read_text().strip().split("+", 4)[4])
    # An Ed25519 key as PKCS #8 has it: what it is, then the seed, which ours has after one byte.
    seed.write_bytes(bytes.fromhex("302e020100300506032b657004220420") + private[1:])
    unsigned.write_text(text)
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-keyform", "DER", "-inkey", seed, "-in", unsigned]
    signature = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    told = base64.b64encode(bytes.fromhex(number) + signature).decode()
    return f"{text}\n\N{EM DASH} {name} {told}\n", f"{name}+{number}+{verifier}"


def measure(what, *arguments):
    speeds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        command = [OFFERGATE, "audit", "verify", *arguments]
        verdict = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        speeds.append(RECORDS / (time.perf_counter() - start))
        assert verdict.startswith(f"INTACT: {RECORDS}"), verdict
    low, high = min(speeds), max(speeds)
    print(f"audit verify, {what}: {statistics.median(speeds):,.0f} records/s [{low:,.0f} to {high:,.0f}]")


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        log, checkpoint = folder / "log.jsonl", folder / "checkpoint"
        note, key = sign(write_records(log), folder)
        checkpoint.write_text(note)
        print(f"{RECORDS:,} records of {log.stat().st_size / RECORDS:.0f} bytes")
        measure("signed", "--key", key, "--checkpoint", checkpoint, "--log", log)
        measure("unsigned", "--unsigned", "--log", log)


if __name__ == "__main__":
    main()
