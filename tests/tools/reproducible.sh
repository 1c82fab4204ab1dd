#!/usr/bin/env bash
# Builds the committed code twice, in different folders, and compares the programs byte for byte.
#
#   tests/tools/reproducible.sh [PROFILE]    # dist, as in the image
#
# Ends with 0 only if they are equal; prints their hash, and what it takes to get it elsewhere. Minutes, and one
# build at a time. What stays out of the bytes: folders (--remap-path-prefix), the clock (SOURCE_DATE_EPOCH is
# the commit's date), and anything uncommitted. What goes into them: the compilers' versions.
set -euo pipefail
cd "$(dirname "$0")/../.."

profile=${1:-dist}
commit=$(git rev-parse --short=12 HEAD)
epoch=$(git log -1 --format=%ct)
cargo_home=${CARGO_HOME:-$HOME/.cargo}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # folder; the program's hash on stdout
    local folder=$1 start=$SECONDS
    mkdir -p "$folder"
    git archive "$commit" | tar --extract --directory "$folder"
    (
        cd "$folder"
        unset CARGO_TARGET_DIR CARGO_ENCODED_RUSTFLAGS
        export OFFERGATE_COMMIT=$commit SOURCE_DATE_EPOCH=$epoch
        export RUSTFLAGS="--remap-path-prefix=$folder=/offergate --remap-path-prefix=$cargo_home=/cargo"
        export CFLAGS="-ffile-prefix-map=$folder=/offergate -ffile-prefix-map=$cargo_home=/cargo"
        cargo build --locked --quiet --profile "$profile" --bin offergate
    )
    echo "built in $folder in $((SECONDS - start)) s" >&2
    local program=$folder/target/$profile/offergate
    "$program" --version >&2
    if grep -qaF -e "$work" -e "$cargo_home" "$program"; then
        echo "names of folders of this machine are in the program:" >&2
        grep -aoE "($work|$cargo_home)[[:print:]]{0,60}" "$program" | sort -u | head >&2
    fi
    sha256sum <"$program" | cut -d ' ' -f 1
}

git diff --quiet HEAD || echo "note: what is not committed is not built" >&2
first=$(build "$work/one")
second=$(build "$work/another/folder")
echo "$first  offergate, $profile, $commit"
if [ "$first" != "$second" ]; then
    echo "$second  the same, built in another folder"
    echo "not reproducible"
    exit 1
fi
echo "reproducible, with $(rustc --version), $(cc --version | head -n 1)"
