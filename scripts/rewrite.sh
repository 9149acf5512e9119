#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs the script tests (Tests/*/Scripts/*.txt) and replaces what they expect by what they got. The change is then to be
# read as any other: a script that says something else now is a change of behaviour.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/setup.sh build
SYNCLINE_REWRITE=1 swift test --disable-xctest --filter Script || true
git --no-pager diff --stat -- 'Tests/*/Scripts' || true
