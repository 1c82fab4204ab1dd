#!/usr/bin/env bash
# Measures decisions, what telemetry costs, and the server under load. Takes some minutes,
# and means something only on a machine that does nothing else.
#
#   benches/run.sh [decide] [telemetry] [load] [barrier] [decisions]
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

measure_decisions() {
    cargo build --locked --release --bin offergate --example floor_input
    python3 benches/floor/decisions.py
}

[ $# -gt 0 ] || set -- decide telemetry load barrier decisions
for part in "$@"; do
    "measure_$part"
done
