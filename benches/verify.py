#!/usr/bin/env python3
"""How many records a second `offergate audit verify` reads.

Writes a log of a million suspensions as JSON lines, as `audit export` does, has it verified some times, and
tells the median. The file is in the page cache: what is measured is hashing and reading, not the disk.
"""

import hashlib
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


def write_log(path):
    chain = bytes(32)
    with open(path, "w", encoding="ascii") as log:
        for number in range(1, RECORDS + 1):
            entry = ENTRY % (number, number, number)
            chain = hashlib.sha256(chain + len(entry).to_bytes(8, "big") + entry.encode()).digest()
            log.write(f'{{"revision":{number},"chain":"{chain.hex()}","entry":{entry}}}\n')


def main():
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.jsonl"
        write_log(log)
        command = [OFFERGATE, "audit", "verify", "--unsigned", "--log", log]
        speeds = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            verdict = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            speeds.append(RECORDS / (time.perf_counter() - start))
            assert verdict.startswith("INTACT"), verdict
        size = log.stat().st_size / RECORDS
    low, high = min(speeds), max(speeds)
    print(
        f"audit verify: {statistics.median(speeds):,.0f} records/s [{low:,.0f} to {high:,.0f}], "
        f"{size:.0f} bytes each"
    )


if __name__ == "__main__":
    main()
