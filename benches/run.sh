#!/usr/bin/env bash
# Measures decisions, what telemetry costs, the server under load, the suspension barrier, the verifying of
# a log, and batch jobs. Takes some minutes, and means something only on a machine that does nothing else.
#
#   benches/run.sh [decide] [telemetry] [load] [barrier] [verify] [batch]
set -euo pipefail
cd "$(dirname "$0")/.."

measure_decide() {
    cargo bench --locked --bench decide
    python3 benches/decide_table.py
}

measure_telemetry() {
    cargo bench --locked --bench telemetry
}

measure_load() {
    cargo build --locked --release --bin offergate --example floor --example floor_input
    python3 benches/floor/load.py
}

measure_barrier() {
    cargo bench --locked --bench barrier
}

measure_verify() {
    cargo build --locked --release --bin offergate
    python3 benches/verify.py
}

measure_batch() {
    cargo build --locked --release --bin offergate
    python3 benches/batch.py
}

[ $# -gt 0 ] || set -- decide telemetry load barrier verify batch
for part in "$@"; do
    "measure_$part"
done
