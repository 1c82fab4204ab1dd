#!/usr/bin/env bash
# Runs the fleet with one bug after another, and fails unless each is caught. It needs some minutes.
#
#   tests/chaos/bugs.sh [BUG...]
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

bugs=("$@")
if [ ${#bugs[@]} -eq 0 ]; then
    bugs=(lease-from-reply skip-chain ack-before-fence cached-clock early-release revision-only)
fi
export CHAOS_SECONDS=${CHAOS_SECONDS:-60} CHAOS_SEED=${CHAOS_SEED:-1}
missed=()
for bug in "${bugs[@]}"; do
    # A usurper needs time to be followed by all, and a lease that outlives that.
    limit=2000
    [ "$bug" = early-release ] && limit=5000
    CHAOS_BUG=$bug CHAOS_LIMIT_MS=$limit \
        cargo test --quiet --locked --features seeded-bugs --test chaos || missed+=("$bug")
done
if [ ${#missed[@]} -gt 0 ]; then
    echo "chaos: not caught: ${missed[*]}"
    exit 1
fi
echo "chaos: all bugs caught"
