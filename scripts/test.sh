#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# All tests, with one build: what is tested is what is shipped, the release configuration.
set -euo pipefail
cd "$(dirname "$0")/.."

step() { printf '\n── %ds  %s\n' "$SECONDS" "$*"; }

# A crashing or killed node must end at once, not after minutes in the crash reporter.
export SWIFT_BACKTRACE=enable=no
# Warnings are errors. Set for every command, since it is part of the manifest and a change of it builds anew.
export SYNCLINE_STRICT=1
# Tests may import what they test with @testable. Only our own targets are compiled for it.
export SYNCLINE_TESTING=1

step "set-up"
scripts/setup.sh test

step "build"
swift build -c release --build-tests

step "build of the simulator with planted bugs, which the tests require it to find"
swift build -c release --product syncline-sim --traits PlantedBugs --scratch-path .build-planted

# Apart, because a test that computes for seconds keeps those waiting that talk over sockets and have deadlines.
computing='^(PrimitivesTests|CChecksumTests|RaftCoreTests|LockCoreTests|QueueCoreTests|PlacementCoreTests|CacheCoreTests|ReplicaTests'
computing+='|WireTests|StorageTests|SimulationTests|TidyTests)\.'

step "unit and simulation tests"
swift test -c release --skip-build --disable-xctest --filter "$computing"

# Four at a time: hundreds that start at once starve each other's timeouts.
step "tests of the front ends, the links, the client and the command line"
SWT_EXPERIMENTAL_MAXIMUM_PARALLELIZATION_WIDTH=4 \
    swift test -c release --skip-build --disable-xctest --skip "$computing" --skip '^ClusterTests\.'

# By themselves: elections and timeouts of real processes do not share two cores with other tests.
step "cluster tests, on real processes"
SYNCLINE_BINARY=$PWD/.build/release/syncline \
    swift test -c release --skip-build --disable-xctest --no-parallel --filter '^ClusterTests\.'

step "all tests passed"
