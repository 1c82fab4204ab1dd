#!/usr/bin/env bash
# Holds what is below deploy/ to what reads it there: the image, the compose file, the chart, the unit.
#
#   tests/tools/deploy.sh image | compose | chart | refused | unit
#
# `make check` runs each. Needs what `setup.sh deploy` installs, and the debug binary.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=$(realpath "${CARGO_TARGET_DIR:-target}")
tools=$target/tools
python=$tools/python/bin
chart=deploy/helm/offergate
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Nothing of this shell's settings reaches it.
settings_are_fine() { # FILE
    env -i STATE_DIRECTORY=/var/lib/offergate NO_COLOR=1 "$target/debug/offergate" config check --quiet "$1"
}

# That it follows the chart's links is no news.
helm() { "$tools/helm" "$@" 2> >(grep -v 'found symbolic link' >&2); }

render() { # values, and more flags; manifests on stdout
    local values=$1
    shift
    helm template offergate "$chart" --namespace bank --values "$values" "$@"
}

# The image itself is not built here: that takes an engine, and base images.
image() {
    "$python/hadolint" --failure-threshold style deploy/Dockerfile
}

compose() {
    # Warnings are failures: they tell of what would be passed over.
    local said
    said=$(STORE_PASSWORD=for-the-check GRAFANA_PASSWORD=for-the-check \
        "$python/docker-compose" --file deploy/compose/compose.yaml config --quiet 2>&1) || {
        echo "$said"
        return 1
    }
    [ -z "$said" ] || { echo "$said"; return 1; }
    "$python/python" tests/tools/collector.py deploy/compose/collector.yaml
}

# Every kind of store: lint, schemas of the cluster's API, posture, and settings that the program takes.
chart() {
    local values name rules settings more=()
    # The chart carries the rules of deploy/prometheus as links, which helm follows.
    for rules in deploy/prometheus/*.yaml; do
        name=$(basename "$rules")
        case $name in \*.yaml | *_test.yaml) continue ;; esac
        if ! [ "$chart/rules/$name" -ef "$rules" ]; then
            echo "not in the chart: $rules; mkdir -p $chart/rules && ln -s ../../../prometheus/$name $chart/rules/"
            return 1
        fi
    done
    [ ! -d "$chart/rules" ] || more=(--set prometheusRule.enabled=true)
    for values in tests/deploy/values/*.yaml; do
        name=$(basename "$values" .yaml)
        helm lint --strict --quiet "$chart" --values "$values"
        render "$values" "${more[@]}" >"$work/$name.yaml"
    done
    "$python/kubernetes-validate" --strict --quiet --no-warn "$work"/*.yaml deploy/kubernetes/*.yaml
    "$python/python" tests/tools/manifests.py "$work" "$work"/*.yaml deploy/kubernetes/*.yaml
    for settings in "$work"/*.toml; do settings_are_fine "$settings"; done
}

# Values that the schema must refuse, each for the reason in its first line.
refused() {
    local values reason said
    for values in tests/deploy/refused/*.yaml; do
        reason=$(sed -n '1s/^# refused because: //p' "$values")
        if said=$(render "$values" 2>&1); then
            echo "$values: is rendered, and should be refused"
            return 1
        fi
        grep -qF -- "$reason" <<<"$said" || { echo "$values: $said"; return 1; }
    done
}

unit() {
    local said
    sed "s#/usr/local/bin/offergate#$target/debug/offergate#" deploy/systemd/offergate.service >"$work/offergate.service"
    cp -r deploy/systemd/offergate.service.d "$work/"
    # Unknown keys are warnings there, and failures here.
    said=$(systemd-analyze verify --man=no "$work/offergate.service" 2>&1) || { echo "$said"; return 1; }
    [ -z "$said" ] || { echo "$said"; return 1; }
    # Exposure of 2.0 at most, from 0 to 10.
    said=$(systemd-analyze security --no-pager --offline=true --threshold=20 "$work/offergate.service") || {
        echo "$said"
        return 1
    }
    settings_are_fine deploy/systemd/offergate.toml
}

"$1"
