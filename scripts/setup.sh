#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes this machine able to build (setup.sh build) and to test (setup.sh test). Installs Debian packages when it is
# root on Debian or Ubuntu; says what is missing otherwise. Does nothing, quickly, when all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '── %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

check_swift() {
    command -v swift >/dev/null || fail "no Swift here: install 6.3 or newer from https://www.swift.org/install/linux/"
    local version
    version=$(swift --version 2>/dev/null | sed -nE 's/.*Swift version ([0-9]+)\.([0-9]+).*/\1 \2/p' | head -1)
    read -r major minor <<<"$version"
    [ "${major:-0}" -gt 6 ] || { [ "${major:-0}" = 6 ] && [ "${minor:-0}" -ge 3 ]; } \
        || fail "Swift 6.3 or newer is needed, this is ${version/ /.}"
}

# ensure tool:package …: installs the packages of the tools that are not there.
ensure() {
    local pair missing=()
    for pair in "$@"; do
        PATH=$PATH:/usr/sbin:/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
    done
    [ ${#missing[@]} -eq 0 ] || install "${missing[@]}"
}

install() {
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        say "not here: $* (their tests are skipped, those of Redis fail; to install: sudo apt-get install $*)"
        return
    fi
    say "installing $*"
    local log
    log=$(mktemp)
    if ! { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@"; } \
        >"$log" 2>&1; then
        tail -20 "$log" >&2
        fail "apt-get could not install $*"
    fi
    rm -f "$log"
}

python_with_redis() {
    local venv=.build-venv
    "$venv/bin/python" -c 'import redis' 2>/dev/null && return
    say "preparing redis-py"
    if python3 -c 'import ensurepip, venv' 2>/dev/null && python3 -m venv --clear "$venv" \
        && "$venv/bin/pip" install -q 'redis>=5'; then return; fi
    rm -rf "$venv"
    say "redis-py could not be installed (python3 -m venv $venv && $venv/bin/pip install redis); its tests are skipped"
}

check_swift
ensure git:git make:make
case ${1:-build} in
    build) ;;
    test)
        ensure redis-cli:redis-tools redis-server:redis-server openssl:openssl setpriv:util-linux ip:iproute2 \
            nft:nftables mkfs.ext4:e2fsprogs mount:mount pgrep:procps python3:python3
        # Debian splits the module from the interpreter.
        python3 -c 'import ensurepip, venv' 2>/dev/null || install python3-venv
        python_with_redis
        ;;
    *) fail "usage: setup.sh build|test" ;;
esac
