# SPDX-License-Identifier: Apache-2.0
"""Drives a cluster with redis-py, unchanged: python redis_py.py PROTOCOL PORT [PORT ...]."""

import sys
import threading

import redis

PROTOCOL = int(sys.argv[1])
PORTS = [int(port) for port in sys.argv[2:]]


def connect(number=0):
    return redis.Redis(
        port=PORTS[number % len(PORTS)], protocol=PROTOCOL, decode_responses=True, socket_timeout=15,
        client_name=f"test-{number}")


def expect(actual, wanted, what):
    if actual != wanted:
        raise SystemExit(f"{what}: expected {wanted!r}, got {actual!r}")


def expect_true(condition, what):
    if not condition:
        raise SystemExit(f"not so: {what}")


def expect_error(code, call):
    try:
        answer = call()
    except redis.ResponseError as error:
        # redis-py strips the prefix of errors it has classes for; the codes asked here are ours, so it stays.
        expect_true(str(error).startswith(code) or code == "ERR", f"{error} begins with {code}")
    else:
        raise SystemExit(f"expected the error {code}, got {answer!r}")


def as_map(reply):
    """Maps are maps under RESP3 and flat arrays under RESP2."""
    return reply if isinstance(reply, dict) else dict(zip(reply[::2], reply[1::2]))


def check_connection(client):
    expect(client.ping(), True, "ping")
    expect(client.echo("hello"), "hello", "echo")
    expect_true("redis_version" in client.info(), "INFO has redis_version")
    expect(client.client_getname(), "test-0", "client name")
    expect_true(client.client_id() > 0, "client id")
    expect_error("ERR", lambda: client.execute_command("NO.SUCH", "x"))


def check_locks(one, two):
    session = one.execute_command("SESSION.OPEN", "TTL", 30000, "LABEL", "python")
    rival = two.execute_command("SESSION.OPEN", "TTL", 30000)
    token = one.execute_command("LOCK.ACQUIRE", "py", "SESSION", session)
    expect(two.execute_command("LOCK.ACQUIRE", "py", "SESSION", rival), None, "a held lock, tried")
    expect(two.execute_command("LOCK.CHECK", "py", "TOKEN", token), 1, "check")
    expect(one.execute_command("LOCK.ACQUIRE", "py", "SESSION", session), token, "a repeated acquire")
    expect(one.execute_command("LOCK.RELEASE", "py", "SESSION", session), 1, "the first release")
    info = as_map(two.execute_command("LOCK.INFO", "py"))
    expect_true(session in str(info["holders"]), "LOCK.INFO names the holder")

    got = []
    waiter = threading.Thread(
        target=lambda: got.append(two.execute_command("LOCK.ACQUIRE", "py", "SESSION", rival, "WAIT", 10000)))
    waiter.start()
    expect(one.execute_command("LOCK.RELEASE", "py", "SESSION", session), 0, "the last release")
    waiter.join(15)
    expect_true(got and got[0] > token, f"the waiter's token {got} is above {token}")

    expect_error("NOTHELD", lambda: one.execute_command("LOCK.RELEASE", "py", "SESSION", session))
    expect_error("NOSESSION", lambda: one.execute_command("LOCK.ACQUIRE", "py", "SESSION", "no-such-session"))
    shared = [c.execute_command("LOCK.ACQUIRE", "read", "SESSION", s, "MODE", "SHARED")
              for c, s in ((one, session), (two, rival))]
    expect_true(all(shared), "two shared holders")
    tokens = one.execute_command("LOCK.ACQUIREALL", "SESSION", session, "a", "EXCLUSIVE", "b", "SHARED")
    expect(len(tokens), 2, "tokens of an acquire of two")
    expect_true(one.execute_command("SESSION.RENEW", session) > 0, "renewal")
    expect_true(as_map(one.execute_command("SESSION.INFO", session))["label"] == "python", "the session's label")
    expect(one.execute_command("SESSION.CLOSE", session), 3, "locks released by the close")
    expect(two.execute_command("LOCK.CHECK", "a", "TOKEN", tokens[0]), 0, "a closed session's token")


def check_semaphores(one, two):
    sessions = [one.execute_command("SESSION.OPEN") for _ in range(3)]
    take = lambda client, session: client.execute_command(
        "SEMAPHORE.ACQUIRE", "pool", "SESSION", session, "LIMIT", 2)
    expect_true(take(one, sessions[0]) and take(two, sessions[1]), "two permits of two")
    expect(take(one, sessions[2]), None, "a third permit of two")
    expect(two.execute_command("SEMAPHORE.RELEASE", "pool", "SESSION", sessions[0]), 0, "permits left")
    expect_true(take(one, sessions[2]), "the permit that was given back")


def check_elections(one, two):
    first, second = (one.execute_command("SESSION.OPEN") for _ in range(2))
    campaign = lambda client, session, value, *more: client.execute_command(
        "ELECTION.CAMPAIGN", "boss", "SESSION", session, "VALUE", value, *more)
    won = campaign(one, first, "first:80")
    expect_true(won, "the first candidate wins")
    expect(campaign(two, second, "second:80"), None, "a second candidate, without waiting")
    expect_true("first:80" in str(two.execute_command("ELECTION.LEADER", "boss")), "the leader's value is seen")
    one.execute_command("ELECTION.RESIGN", "boss", "SESSION", first)
    later = campaign(two, second, "second:80", "WAIT", 5000)
    expect_true(later > won, "the next leader's token is higher")


def check_pipelines(client):
    session = client.execute_command("SESSION.OPEN")
    pipeline = client.pipeline(transaction=False)
    for number in range(300):
        pipeline.execute_command("LOCK.ACQUIRE", f"pipe-{number}", "SESSION", session)
    tokens = pipeline.execute()
    expect_true(len(set(tokens)) == 300 and tokens == sorted(tokens), "300 rising tokens from one pipeline")
    pipeline.execute_command("LOCK.RELEASE", "pipe-0", "SESSION", session)
    pipeline.execute_command("LOCK.RELEASE", "pipe-0", "SESSION", session)
    pipeline.ping()
    left, refused, pong = pipeline.execute(raise_on_error=False)
    expect((left, pong), (0, True), "replies around an error in a pipeline")
    expect_true(isinstance(refused, redis.ResponseError), "the error is in its place")
    expect(client.execute_command("SESSION.CLOSE", session), 299, "locks released by the close")


def main():
    one, two = connect(0), connect(1)
    check_connection(one)
    check_locks(one, two)
    check_semaphores(one, two)
    check_elections(one, two)
    check_pipelines(connect(2))
    print("all checks passed")


main()
