#!/usr/bin/env bash
# Measures decisions, what telemetry costs, the server under load, the suspension barrier, fail-overs,
# mutual TLS, the decision log, its replay, the verifying of a log, batch jobs, mailings, overload and attacks.
# Takes some minutes, and means something only on a machine that does nothing else.
#
#   benches/run.sh [decide] [telemetry] [load] [barrier] [failover] [mutual_tls] [decisions] [replay] [verify] [batch]
#       [mailing] [overload] [attacks]
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

measure_failover() {
    cargo build --locked --release --bin offergate
    python3 benches/failover.py
}

measure_mutual_tls() {
    cargo build --locked --release --example floor_input
    cargo bench --locked --bench mutual_tls
}

measure_decisions() {
    cargo build --locked --release --bin offergate --example floor_input
    python3 benches/floor/decisions.py
}

measure_replay() {
    cargo build --locked --release --bin offergate --example floor_input
    python3 benches/replay.py
}

measure_verify() {
    cargo build --locked --release --bin offergate
    python3 benches/verify.py
}

measure_batch() {
    cargo build --locked --release --bin offergate
    python3 benches/batch.py
}

measure_mailing() {
    cargo build --locked --release --bin offergate
    python3 benches/mailing.py
}

measure_overload() {
    cargo build --locked --release --bin offergate
    python3 benches/overload.py
}

measure_attacks() {
    cargo build --locked --release --bin offergate
    python3 benches/attacks.py
}

[ $# -gt 0 ] || set -- decide telemetry load barrier failover mutual_tls decisions replay verify batch mailing \
    overload attacks
for part in "$@"; do
    "measure_$part"
done
