#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Three nodes on this machine, on ports 7700–7722, with their data and logs under data/.
#
#   scripts/cluster.sh             until Ctrl-C
#   scripts/cluster.sh COMMAND …   while the command runs, on data of their own
set -euo pipefail
cd "$(dirname "$0")/.."

SYNCLINE=${SYNCLINE_BINARY:-.build/release/syncline}
# A node refuses variables it does not know.
unset SYNCLINE_BINARY SYNCLINE_STRICT
[ -x "$SYNCLINE" ] || { echo "cluster: no $SYNCLINE; run: swift build -c release --product syncline" >&2; exit 1; }

if [ $# -gt 0 ]; then DATA=$(mktemp -d); else DATA=$PWD/data; fi
mkdir -p "$DATA"
PEERS=node-0=127.0.0.1:7702,node-1=127.0.0.1:7712,node-2=127.0.0.1:7722
NODES=()

finish() {
    trap - EXIT INT TERM
    [ ${#NODES[@]} -eq 0 ] || kill "${NODES[@]}" 2>/dev/null || true
    wait || true
    [ "$DATA" = "$PWD/data" ] || rm -rf "$DATA"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

for number in 0 1 2; do
    "$SYNCLINE" node --node-id "node-$number" --client-port "77${number}0" --http-port "77${number}1" \
        --peer-port "77${number}2" --data-dir "$DATA/node-$number" --peers "$PEERS" >>"$DATA/node-$number.log" 2>&1 &
    NODES+=("$!")
done

for number in 0 1 2; do
    deadline=$((SECONDS + 30))
    until "$SYNCLINE" health --ready --endpoint "127.0.0.1:77${number}0" >/dev/null 2>&1; do
        if [ "$SECONDS" -ge "$deadline" ] || ! kill -0 "${NODES[$number]}" 2>/dev/null; then
            echo "cluster: node-$number is not ready; the end of its log:" >&2
            tail -20 "$DATA/node-$number.log" >&2
            exit 1
        fi
        sleep 0.1
    done
done

if [ $# -gt 0 ]; then
    "$@"
else
    cat <<TEXT
Three nodes are up; logs are in data/node-*.log. Try, from another terminal:
  redis-cli -p 7700 SESSION.OPEN TTL 60000
  curl -s http://127.0.0.1:7711/v1/cluster/shards
  $SYNCLINE lock build --endpoint 127.0.0.1:7720 -- sleep 10
Ctrl-C ends them.
TEXT
    wait
fi
