#!/usr/bin/env bash
# Holds everything that a tool can hold. Runs every check even if one fails, and says at the end
# which did.
set -uo pipefail
cd "$(dirname "$0")/../.." || exit

tools=${CARGO_TARGET_DIR:-target}/tools
linters=$tools/python/bin
offergate=${CARGO_TARGET_DIR:-target}/debug/offergate
failures=()

check() { # check NAME COMMAND...
    local name=$1 start=$SECONDS
    shift
    if "$@"; then
        echo "check: $name: ok ($((SECONDS - start)) s)"
    else
        echo "check: $name: FAILED ($*)"
        failures+=("$name")
    fi
}

scripts() {
    git ls-files --cached --others --exclude-standard '*.sh' .ci/run | xargs "$linters/shellcheck"
}

# The rows of history and the other examples are decided as their files say.
examples() {
    cargo build --locked --quiet &&
        find tests deploy -name '*.test.yaml' -print0 | sort -z | xargs -0 "$offergate" test >/dev/null
}

docs() {
    RUSTDOCFLAGS='-D warnings -A rustdoc::private_intra_doc_links' cargo doc --locked --quiet --no-deps --document-private-items
}

check format cargo fmt --check
check lints cargo clippy --locked --quiet --all-targets -- -D warnings
check slim cargo clippy --locked --quiet --no-default-features -- -D warnings
check docs docs
check proto-lint tests/tools/buf.sh lint
check proto-format tests/tools/buf.sh format --diff --exit-code
check proto-breaking tests/tools/buf.sh breaking --against proto/image.binpb
check spelling "$linters/typos"
check scripts scripts
# Advisories are not checked: their database is a git repository, which CI cannot reach.
check supply-chain "$linters/cargo-deny" --locked --log-level error check bans licenses sources
check examples examples
# After the binary was built, which says whether settings in there are fine.
check image tests/tools/deploy.sh image
check compose tests/tools/deploy.sh compose
check chart tests/tools/deploy.sh chart
check chart-refusals tests/tools/deploy.sh refused
check unit tests/tools/deploy.sh unit
check alerts "$tools/promtool" test rules deploy/prometheus/alerts_test.yaml

if [ ${#failures[@]} -gt 0 ]; then
    echo "check: ${#failures[@]} failed: ${failures[*]}"
    exit 1
fi
echo "check: all ok"
