#!/usr/bin/env bash
# Runs all tests. The last line counts them.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Documentation's examples are tests that nextest does not run; a failure here shows and counts.
cargo build --locked --quiet
if cargo nextest --version >/dev/null 2>&1; then
    doc=0
    cargo test --locked --doc --quiet || doc=$?
    tests=0
    cargo nextest run --locked --no-fail-fast --status-level fail --final-status-level fail || tests=$?
    exit $((doc ? doc : tests))
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
cargo test --locked --no-fail-fast 2>&1 | tee "$log" || failed=$?
# Adds up `test result: ok. 12 passed; 0 failed; ...`, one a test binary.
awk '/^test result:/ { passed += $4; failed += $6 }
     END { printf "%d passed, %d failed\n", passed, failed }' "$log"
exit "$failed"
