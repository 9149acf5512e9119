// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import SynclineClient

@Suite("The client's side of a lease")
struct SessionLeaseTests {
    private let sent = ContinuousClock.now

    private func lease() -> SessionLease { SessionLease(ttl: .seconds(10), sent: sent) }

    @Test("the deadline is counted from the sending, less a tenth for clocks that drift")
    func deadline() {
        let lease = lease()
        #expect(lease.deadline == sent + .seconds(9))
        #expect(lease.jeopardy == sent + .seconds(5))
        #expect(lease.renewal <= sent + .seconds(10) / 3)
    }

    @Test("live, in jeopardy at half the time to live, lost at nine tenths")
    func states() {
        var lease = lease()
        let unchanged1 = lease.advance(to: sent + .milliseconds(4999))
        #expect(!unchanged1)
        let before = lease.advance(to: sent + .seconds(6))
        #expect(before && lease.state == .inJeopardy(remaining: .seconds(3)))
        let unchanged2 = lease.advance(to: sent + .milliseconds(8999))
        #expect(!unchanged2)
        let lost = lease.advance(to: sent + .seconds(9))
        #expect(lost && lease.state == .lost(.expired) && lease.nextChange == nil)
    }

    @Test("a renewal counts from its own sending, also when a later one was answered first")
    func renewal() {
        var lease = lease()
        _ = lease.advance(to: sent + .seconds(6))
        let recovered = lease.renewed(sent: sent + .seconds(5), ttl: .seconds(10))
        #expect(recovered && lease.state == .live && lease.deadline == sent + .seconds(14))
        let stale = lease.renewed(sent: sent + .seconds(4), ttl: .seconds(10))
        #expect(!stale && lease.deadline == sent + .seconds(14))
    }

    @Test("lost is final: an answer that comes too late revives nothing")
    func final() {
        var lease = lease()
        _ = lease.advance(to: sent + .seconds(20))
        let revived = lease.renewed(sent: sent + .seconds(8), ttl: .seconds(10))
        #expect(!revived && lease.state == .lost(.expired))
        let unchanged3 = lease.end(.closed)
        #expect(!unchanged3)
    }

    @Test("a pause longer than the lease is seen as its loss at once")
    func pause() {
        var lease = lease()
        let changed = lease.advance(to: sent + .seconds(3600))
        #expect(changed && lease.state == .lost(.expired))
    }
}

@Suite("Texts")
struct TextTests {
    @Test(
        "endpoints",
        arguments: [
            ("10.0.0.1:7700", "10.0.0.1:7700"), ("node-1", "node-1:7700"), ("[::1]:9", "[::1]:9"),
            ("[::1]", "[::1]:7700"),
            ("::1", "[::1]:7700"),
        ]
    )
    func endpoints(text: String, expected: String) { #expect(Endpoint(text)?.description == expected) }

    @Test("what is no endpoint", arguments: ["", ":1", "a:0", "a:70000", "a:b", "http://a:1", "a b:1", "[::1"])
    func noEndpoints(text: String) { #expect(Endpoint(text) == nil) }

    @Test("a deadlock's cycle is read from the error")
    func cycle() {
        let error = SynclineError(
            serverText: "DEADLOCK waiting would never end, so this request was given up: "
                + "pay/s1 (job (a)) waits for the lock exclusive → s2 waits for b shared → pay/s1; "
                + "release what you hold and try again"
        )
        #expect(error.code == .deadlock && error.outcome == .notDone)
        #expect(
            error.cycle == [
                DeadlockEdge(session: "pay/s1", label: "job (a)", lock: "the lock", mode: .exclusive),
                DeadlockEdge(session: "s2", label: "", lock: "b", mode: .shared),
            ]
        )
        #expect(SynclineError(serverText: "DEADLOCK").cycle.isEmpty)
    }

    @Test("only the code UNKNOWN leaves the outcome open")
    func outcomes() {
        #expect(SynclineError(serverText: "UNKNOWN no leader").outcome == .unknown)
        #expect(SynclineError(serverText: "UNAVAILABLE no leader").outcome == .notDone)
        #expect(SynclineError(serverText: "NOTHELD x").code == .notHeld)
    }

    @Test("durations become whole milliseconds, rounded up")
    func milliseconds() {
        #expect(Duration.microseconds(1).wholeMilliseconds == 1)
        #expect(Duration.seconds(-5).wholeMilliseconds == 0)
        #expect(Duration.seconds(Int64.max).wholeMilliseconds == Int64.max)
    }
}
