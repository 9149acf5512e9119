#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Tries the containers on a real engine: builds the image, starts the three nodes of compose.yml, cuts the leader's node
# off the network, requires a new leader, joins it again, requires the same state everywhere, and kills a container.
#
#   deploy/docker/test.sh [--keep]
#
#   SYNCLINE_DOCKER_BINARY=path   puts this program into the image instead of building one there (it must be linked with
#                                 --static-swift-stdlib); quick, for work on this script
set -euo pipefail
cd "$(dirname "$0")/../.."
HERE=$PWD/deploy/docker
KEEP=${1:-}
case $KEEP in "" | --keep) ;; *) sed -n '3,11s/^# \{0,1\}//p' "$0"; exit 64 ;; esac
STATE=$PWD/.build-docker
WORK=$(mktemp -d /tmp/syncline-docker.XXXXXX)
PROJECT=synclinetest
ENGINE=
STARTED=$SECONDS

step() { printf '\n── %4ds  %s\n' "$((SECONDS - STARTED))" "$*"; }
fail() { printf 'docker-test: %s\n' "$*" >&2; exit 1; }
need_root() { [ "$(id -u)" = 0 ] || fail "must be root $1"; }

# shellcheck source=deploy/docker/images.sh
. "$HERE/images.sh"

# install_missing tool:package …
install_missing() {
    local pair packages=()
    for pair in "$@"; do command -v "${pair%%:*}" >/dev/null || packages+=("${pair##*:}"); done
    [ ${#packages[@]} -eq 0 ] && return
    need_root "to install ${packages[*]}"
    command -v apt-get >/dev/null || fail "please install: ${packages[*]}"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "${packages[@]}"; } \
        >"$WORK/apt.log" 2>&1 || { tail -20 "$WORK/apt.log" >&2; fail "cannot install ${packages[*]}"; }
}

# eventually SECONDS WHAT COMMAND…: repeats the command until it succeeds.
eventually() {
    local limit=$(($1 + SECONDS)) what=$2
    shift 2
    until "$@" >"$WORK/last" 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || { cat "$WORK/last" >&2; fail "not in time: $what"; }
        sleep 0.2
    done
}

# ── the engine ────────────────────────────────────────────────────────────────────────────────────────────────────

start_engine() {
    local driver
    for driver in "" vfs; do
        export DOCKER_HOST=unix://$WORK/docker.sock
        dockerd --host "$DOCKER_HOST" --data-root "$STATE/data" --exec-root "$WORK/exec" --pidfile "$WORK/dockerd.pid" \
            ${driver:+--storage-driver "$driver"} >"$WORK/dockerd.log" 2>&1 &
        ENGINE=$!
        for _ in $(seq 100); do
            docker info >/dev/null 2>&1 && return
            kill -0 "$ENGINE" 2>/dev/null || break
            sleep 0.2
        done
        kill "$ENGINE" 2>/dev/null || true
        wait "$ENGINE" 2>/dev/null || true
        ENGINE=
    done
    tail -20 "$WORK/dockerd.log" >&2
    fail "dockerd does not start here"
}

compose() {
    if docker compose version >/dev/null 2>&1; then docker compose -p "$PROJECT" -f "$HERE/compose.yml" "$@"
    else docker-compose -p "$PROJECT" -f "$HERE/compose.yml" "$@"; fi
}

finish() {
    local code=$?
    if [ "$code" != 0 ]; then
        local id
        for id in "${IDS[@]:-}"; do
            [ -n "$id" ] && { echo "── log of $(docker inspect -f '{{.Name}}' "$id")"; docker logs --tail 40 "$id"; } 2>&1 || true
        done
    fi
    if [ "$KEEP" != --keep ]; then
        compose down --volumes --timeout 5 >/dev/null 2>&1 || true
        if [ -n "$ENGINE" ]; then
            kill "$ENGINE" 2>/dev/null || true
            wait "$ENGINE" 2>/dev/null || true
        fi
        rm -rf "$WORK"
    elif [ -n "$ENGINE" ]; then
        echo "left running: DOCKER_HOST=$DOCKER_HOST (dockerd is process $ENGINE)"
        disown "$ENGINE"
    fi
    [ "$code" = 0 ] || echo "docker-test: FAILED" >&2
}
trap finish EXIT
IDS=()

# ── talking to a node from inside its container, which works without a network too ────────────────────────────────────

# resp N WORD…: one command; prints the reply's first line, or the text of a bulk string.
resp() {
    local id=${IDS[$1]}
    shift
    timeout 20 docker exec -i "$id" bash -c '
        exec 3<>/dev/tcp/127.0.0.1/7700 || exit 1
        { printf "*%d\r\n" "$#"; for word in "$@"; do printf "\$%d\r\n%s\r\n" "${#word}" "$word"; done; } >&3
        IFS= read -r -t 15 line <&3 || exit 1
        case $line in
            \$-1*) echo nil ;;
            \$*) IFS= read -r -t 5 line <&3; echo "${line%$'"'\\r'"'}" ;;
            *) echo "${line%$'"'\\r'"'}" ;;
        esac' resp "$@"
}

# shards N: one line for each shard: number role applied sessions objects.
shards() {
    timeout 10 docker exec -i "${IDS[$1]}" bash -c '
        exec 3<>/dev/tcp/127.0.0.1/7701 || exit 1
        printf "GET /v1/cluster/shards HTTP/1.0\r\nHost: node\r\nConnection: close\r\n\r\n" >&3
        cat <&3' | python3 -c '
import json, sys
answer = json.loads(sys.stdin.read().split("\r\n\r\n", 1)[1])
for row in sorted(answer["shards"] if isinstance(answer, dict) else answer, key=lambda row: row["shard"]):
    print(row["shard"], row["role"], row["applied_index"], row["sessions"], row["objects"])'
}

# leader_among N…: the node that leads the shard in which the sessions are; this test uses one namespace, thus one shard.
leader_among() {
    local number
    for number in "$@"; do
        if shards "$number" | awk '$2 == "leader" && $4 > 0 { found = 1 } END { exit !found }'; then
            echo "$number"
            return
        fi
    done
    return 1
}

same_state() {
    local number first
    first=$(shards 0 | awk '{ print $1, $3, $4, $5 }')
    for number in 1 2; do [ "$(shards "$number" | awk '{ print $1, $3, $4, $5 }')" = "$first" ] || return 1; done
}

healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "${IDS[$1]}")" = healthy ]; }
is_token() { [[ $1 =~ ^:[0-9]+$ ]]; }

# grants N NAME SESSION: takes the lock through node N.
grants() {
    local reply
    reply=$(resp "$1" LOCK.ACQUIRE "$2" SESSION "$3" WAIT 2000)
    echo "$reply"
    is_token "$reply"
}

# ── the test ────────────────────────────────────────────────────────────────────────────────────────────────────────

install_missing docker:docker.io dockerd:docker.io iptables:iptables python3:python3 git:git
docker compose version >/dev/null 2>&1 || install_missing docker-compose:docker-compose

step "the engine"
mkdir -p "$STATE"
if ! docker info >/dev/null 2>&1; then
    need_root "to start dockerd"
    start_engine
fi
docker version --format 'client {{.Client.Version}}, engine {{.Server.Version}}'
# Without the buildx plug-in the client can only use the older builder.
docker buildx version >/dev/null 2>&1 || export DOCKER_BUILDKIT=0

step "base images"
runtime_image
if [ -z "${SYNCLINE_DOCKER_BINARY:-}" ]; then build_image; fi

step "the image"
if [ -n "${SYNCLINE_DOCKER_BINARY:-}" ]; then
    docker build -q -f deploy/docker/Dockerfile --target base --build-arg RUNTIME_IMAGE="$RUNTIME_IMAGE" \
        --build-arg BUILD_IMAGE="$RUNTIME_IMAGE" -t syncline-test/base . >/dev/null
    mkdir -p "$WORK/image"
    cp "$SYNCLINE_DOCKER_BINARY" "$WORK/image/syncline"
    printf 'FROM syncline-test/base\nCOPY syncline /usr/local/bin/syncline\n' >"$WORK/image/Dockerfile"
    docker build -q -t syncline-test/syncline "$WORK/image" >/dev/null
else
    docker build -f deploy/docker/Dockerfile --build-arg BUILD_IMAGE="$BUILD_IMAGE" \
        --build-arg RUNTIME_IMAGE="$RUNTIME_IMAGE" -t syncline-test/syncline . >"$WORK/build.log" 2>&1 \
        || { tail -40 "$WORK/build.log" >&2; fail "the image does not build"; }
    # The older builder leaves each stage of each build behind, gigabytes in all.
    if [ -n "$ENGINE" ]; then docker image prune -f >/dev/null; fi
fi
docker image inspect -f '{{.Size}} bytes, user {{.Config.User}}, stops by {{.Config.StopSignal}}' syncline-test/syncline

step "three nodes"
export SYNCLINE_IMAGE=syncline-test/syncline SYNCLINE_LOG_LEVEL=info
read -ra PORTS < <(python3 - <<'PYTHON'
import socket
sockets = [socket.socket() for _ in range(6)]
for one in sockets: one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
export SYNCLINE_NODE_0_CLIENT_PORT=${PORTS[0]} SYNCLINE_NODE_0_HTTP_PORT=${PORTS[1]}
export SYNCLINE_NODE_1_CLIENT_PORT=${PORTS[2]} SYNCLINE_NODE_1_HTTP_PORT=${PORTS[3]}
export SYNCLINE_NODE_2_CLIENT_PORT=${PORTS[4]} SYNCLINE_NODE_2_HTTP_PORT=${PORTS[5]}
compose down --volumes --timeout 5 >/dev/null 2>&1 || true
compose up -d --no-build 2>&1 | tail -5
for number in 0 1 2; do IDS+=("$(compose ps -q "node-$number")"); done
for number in 0 1 2; do eventually 60 "node-$number is healthy" healthy "$number"; done
[ "$(docker exec "${IDS[0]}" id -u)" != 0 ] || fail "the node runs as root"
timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/${PORTS[0]}; printf 'PING\r\n' >&3; read -r line <&3; [[ \$line = +PONG* ]]" \
    || fail "the published port does not answer"

step "a lock"
SESSION=$(resp 0 SESSION.OPEN TTL 600000 LABEL docker-test)
TOKEN=$(resp 1 LOCK.ACQUIRE held SESSION "$SESSION")
is_token "$TOKEN" || fail "no lock: $TOKEN"
eventually 20 "a leader" leader_among 0 1 2
LEADER=$(leader_among 0 1 2)
OTHERS=()
for number in 0 1 2; do [ "$number" = "$LEADER" ] || OTHERS+=("$number"); done
NETWORK=$(docker inspect -f '{{range $name, $_ := .NetworkSettings.Networks}}{{$name}}{{end}}' "${IDS[$LEADER]}")
echo "token ${TOKEN#:}; leader is node-$LEADER; network $NETWORK"

step "the leader's node is cut off"
docker network disconnect "$NETWORK" "${IDS[$LEADER]}"
CUT=$SECONDS
eventually 20 "one of the others leads" leader_among "${OTHERS[@]}"
eventually 20 "a new grant elsewhere" grants "${OTHERS[0]}" granted-elsewhere "$SESSION"
ELSEWHERE=$(resp "${OTHERS[1]}" LOCK.ACQUIRE granted-elsewhere SESSION "$SESSION")
echo "node-$(leader_among "${OTHERS[@]}") leads and granted ${ELSEWHERE#:} within $((SECONDS - CUT)) s"
[ "$(resp "${OTHERS[0]}" LOCK.CHECK held TOKEN "${TOKEN#:}")" = :1 ] || fail "the held lock was lost"

step "the isolated node refuses"
REPLY=$(resp "$LEADER" LOCK.ACQUIRE isolated SESSION "$SESSION" || true)
echo "it says: $REPLY"
case $REPLY in -*) ;; *) fail "expected a refusal" ;; esac
if docker exec "${IDS[$LEADER]}" syncline health --ready >"$WORK/health" 2>&1; then
    fail "the isolated node calls itself ready"
fi
docker exec "${IDS[$LEADER]}" syncline health || fail "the isolated node is not even alive"

step "joined again"
docker network connect --alias "node-$LEADER" "$NETWORK" "${IDS[$LEADER]}"
eventually 60 "node-$LEADER is healthy" healthy "$LEADER"
eventually 60 "the same state on all nodes" same_state
[ "$(resp "$LEADER" LOCK.CHECK granted-elsewhere TOKEN "${ELSEWHERE#:}")" = :1 ] || fail "it missed the grant"
shards "$LEADER" | awk '$4 > 0 { print "shard " $1 ": applied " $3 ", " $4 " session, " $5 " locks, on all three" }'

step "a container is killed"
LEADER=$(leader_among 0 1 2)
OTHERS=()
for number in 0 1 2; do [ "$number" = "$LEADER" ] || OTHERS+=("$number"); done
docker kill --signal KILL "${IDS[$LEADER]}" >/dev/null
eventually 20 "a grant after the kill" grants "${OTHERS[0]}" granted-after-kill "$SESSION"
[ "$(resp "${OTHERS[0]}" LOCK.CHECK held TOKEN "${TOKEN#:}")" = :1 ] || fail "the held lock was lost"
docker start "${IDS[$LEADER]}" >/dev/null
eventually 60 "node-$LEADER is healthy" healthy "$LEADER"
eventually 60 "the same state on all nodes" same_state

step "stop and start again"
timeout 90 docker stop --time 20 "${IDS[@]}" >/dev/null
for number in 0 1 2; do
    [ "$(docker inspect -f '{{.State.ExitCode}}' "${IDS[$number]}")" = 0 ] || fail "node-$number did not end by itself"
done
docker start "${IDS[@]}" >/dev/null
for number in 0 1 2; do eventually 60 "node-$number is healthy" healthy "$number"; done
[ "$(resp 2 LOCK.CHECK held TOKEN "${TOKEN#:}")" = :1 ] || fail "the held lock was lost"

step "docker-test: passed"
