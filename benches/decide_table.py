#!/usr/bin/env python3
"""Prints what `cargo bench --bench decide` has measured: medians and ratios."""
import json
import os
from pathlib import Path

SIZES = (10, 1_000, 10_000)
CRITERION = Path(os.environ.get("CARGO_TARGET_DIR", "target")) / "criterion"


def median_ns(name):
    estimates = json.loads((CRITERION / name / "new/estimates.json").read_text())
    return estimates["median"]["point_estimate"]


def main():
    print(f"\n{'ns a decision':24}" + "".join(f"{size:>10,}" for size in SIZES) + f"{'growth':>10}")
    rows = {}
    for engine in ("decide", "decide_from_memory", "cel", "cel_binding"):
        rows[engine] = [median_ns(f"{engine}_{size}") for size in SIZES]
        cells = "".join(f"{value:10,.1f}" for value in rows[engine])
        print(f"{engine:24}{cells}{rows[engine][-1] - rows[engine][0]:10,.1f}")
    for engine in ("cel", "cel_binding"):
        ratios = "".join(f"{cel / ours:9,.1f}x" for ours, cel in zip(rows["decide"], rows[engine]))
        print(f"{'decide over ' + engine:24}{ratios}")
    print(f"compiling 10,000 suspensions: {median_ns('compile/10000') / 1e6:.1f} ms")


if __name__ == "__main__":
    main()
