#!/usr/bin/env bash
# Writes the bill of materials of the program: every crate in it with version, licence and hash, in CycloneDX.
#
#   tests/tools/sbom.sh [FILE]    # target/sbom/offergate.cdx.json
#
# Of what is linked for Linux on x86-64 with default features; nothing that only builds or tests.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=${CARGO_TARGET_DIR:-target}
file=${1:-$target/sbom/offergate.cdx.json}
platform=x86_64-unknown-linux-gnu
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
PATH=$(realpath "$target/tools/cargo/bin"):$PATH cargo cyclonedx --quiet --format json --spec-version 1.5 \
    --no-build-deps --target "$platform" --override-filename offergate-sbom
trap 'rm -f offergate-sbom.json' EXIT
mkdir -p "$(dirname "$file")"
cargo tree --locked --edges normal --prefix none --target "$platform" |
    python3 tests/tools/sbom.py offergate-sbom.json "$file"
