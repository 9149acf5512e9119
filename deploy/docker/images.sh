#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The base images of the Dockerfile: pulled where a registry is reached, made from this machine's Debian mirror and
# Swift where none is. Sourced by test.sh; sets BUILD_IMAGE and RUNTIME_IMAGE.

DEBIAN_RELEASE=bookworm
DEBIAN_MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
# What the official Swift image adds to Debian, as far as building this package needs it.
SWIFT_PACKAGES=binutils,ca-certificates,gcc,git,libc6-dev,libcurl4,libedit2,libncurses6,libsqlite3-0,libstdc++-12-dev
SWIFT_PACKAGES+=,libxml2,libz3-4,make,pkg-config,tzdata,zlib1g-dev

# have_image IMAGE: it is here, or can be pulled.
have_image() {
    docker image inspect "$1" >/dev/null 2>&1 || timeout 600 docker pull -q "$1" >/dev/null 2>&1
}

# registry_answers: a quick look, since a pull from behind a closed network may take minutes to fail.
registry_answers() {
    timeout 10 docker pull -q hello-world >/dev/null 2>&1
}

debootstrap_into() {
    local folder=$1
    shift
    need_root "to make a Debian base image"
    install_missing debootstrap:debootstrap
    debootstrap --variant=minbase "$@" "$DEBIAN_RELEASE" "$folder" "$DEBIAN_MIRROR" >"$WORK/debootstrap.log" 2>&1 \
        || { tail -20 "$WORK/debootstrap.log" >&2; fail "debootstrap failed"; }
    rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/*
}

runtime_image() {
    RUNTIME_IMAGE=debian:$DEBIAN_RELEASE-slim
    have_image "$RUNTIME_IMAGE" && return
    RUNTIME_IMAGE=syncline-test/debian:$DEBIAN_RELEASE
    docker image inspect "$RUNTIME_IMAGE" >/dev/null 2>&1 && return
    step "making $RUNTIME_IMAGE by debootstrap"
    debootstrap_into "$WORK/debian" --include=libstdc++6
    tar -C "$WORK/debian" -c . | docker import - "$RUNTIME_IMAGE" >/dev/null
    rm -rf "$WORK/debian"
}

build_image() {
    BUILD_IMAGE=swift:6.3-$DEBIAN_RELEASE
    if registry_answers && have_image "$BUILD_IMAGE"; then return; fi
    BUILD_IMAGE=syncline-test/swift:6.3-$DEBIAN_RELEASE
    docker image inspect "$BUILD_IMAGE" >/dev/null 2>&1 && return
    local swift
    swift=$(command -v swift) || fail "no registry is reached and this machine has no Swift to build with"
    swift=$(dirname "$(dirname "$(readlink -f "$swift")")")
    step "making $BUILD_IMAGE by debootstrap and from $swift"
    local root=$WORK/swift
    debootstrap_into "$root" --include="$SWIFT_PACKAGES"
    mkdir -p "$root/opt/swift"
    # The debugger, the editor's server and the documentation are most of the size and build nothing.
    tar -C "$swift" -c --exclude='*lldb*' --exclude='*sourcekit*' --exclude='*clangd*' --exclude='share/doc*' \
        --exclude='swift-format' --exclude='docc' --exclude='lib/swift/embedded*' . | tar -C "$root/opt/swift" -x
    copy_git_rewrites "$root"
    tar -C "$root" -c . | docker import --change 'ENV PATH=/opt/swift/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        - "$BUILD_IMAGE" >/dev/null
    rm -rf "$root"
}

# Where git is told to read repositories from folders of this machine, the build in the image must read them too.
copy_git_rewrites() {
    local root=$1 key value folder
    git config --get-regexp '^url\..*\.insteadof$' 2>/dev/null | while read -r key value; do
        folder=${key#url.}
        folder=${folder%.insteadof}
        [ -d "$folder" ] || continue
        if [ ! -d "$root$folder" ]; then
            mkdir -p "$root$folder"
            tar -C "$folder" -c . | tar -C "$root$folder" --no-same-owner -x
        fi
        git config --file "$root/etc/gitconfig" --add "url.$folder.insteadOf" "$value"
    done
    git config --file "$root/etc/gitconfig" --add safe.directory '*'
}
