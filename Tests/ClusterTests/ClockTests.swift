// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite(
        "A clock that jumps",
        .serialized,
        .enabled(if: WallClock.compiler != nil, "needs a C compiler to make the library that moves the clock")
    )
    struct Clock {
        @Test("an hour forward or back neither expires a session nor prolongs one", arguments: [3_600, -3_600])
        func jump(seconds: Int64) throws {
            let clock = try WallClock()
            try withCluster(environment: clock.environment) { cluster in
                let holder = try LockClient(cluster.nodes[0])
                let session = try holder.openSession(ttlMilliseconds: 5_000)
                let token = try #require(try holder.acquire("timed", session: session))
                let waiter = try LockClient(cluster.nodes[1])
                let heir = try waiter.openSession(ttlMilliseconds: 60_000)
                let before = try #require(try waiter.connection.command("TIME").elements?.first?.integer)

                try holder.renew(session: session)
                let renewed = ContinuousClock.now
                try clock.jump(seconds: seconds)
                let after = try #require(try waiter.connection.command("TIME").elements?.first?.integer)
                #expect(abs(after - before - seconds) < 60, "the node's own clock did not jump")

                // Long before its time the session must live on, in every node's eyes.
                try throughout("the lock is held", .milliseconds(2_500), every: .milliseconds(100)) {
                    try waiter.check("timed", token: token)
                }
                let next = try #require(try waiter.acquire("timed", session: heir, waitMilliseconds: 12_000))
                let waited = ContinuousClock.now - renewed
                #expect(next > token)
                #expect(waited > .milliseconds(4_500), "expired after \(waited)")
                #expect(waited < .milliseconds(9_000), "expired only after \(waited)")
                #expect(try waiter.check("timed", token: next))
                for node in cluster.nodes { #expect(node.isReady) }
            }
        }
    }
}
