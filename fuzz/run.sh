#!/usr/bin/env bash
# Fuzzes each target for FUZZ_SECONDS (60). On demand: needs cargo-fuzz and a nightly compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "fuzz: please install cargo-fuzz: cargo install --locked cargo-fuzz" >&2
    exit 1
fi

# Real requests and rules to start from.
mkdir -p fuzz/corpus/rule_file
cp tests/history/*.rules.yaml fuzz/corpus/rule_file/

for target in rule_file check token segment; do
    cargo +nightly fuzz run "$target" -- -max_total_time="${FUZZ_SECONDS:-60}"
done
