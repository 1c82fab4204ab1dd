#!/usr/bin/env bash
# Runs the buf that `setup.sh buf` installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec "${CARGO_TARGET_DIR:-target}/tools/node/node_modules/.bin/buf" "$@"
