// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Graceful shutdown", .serialized)
    struct GracefulShutdown {
        @Test("SIGTERM hands leadership over: no request waits for an election, and the process exits with 0")
        func leaderStops() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let leader = try cluster.leader()
                let client = try LockClient(try #require(cluster.others(than: leader).first))
                let session = try client.openSession()
                let clock = ContinuousClock()

                var slowest = Duration.zero
                leader.beginStop()
                var turn = 0
                try eventually("the leader has ended", within: .seconds(15), every: .zero) {
                    turn += 1
                    slowest = max(
                        slowest,
                        try clock.measure {
                            guard try client.acquire("turn-\(turn)", session: session, waitMilliseconds: 5_000) != nil
                            else { throw Violation("turn-\(turn) is free but was not granted") }
                        }
                    )
                    return !leader.isRunning
                }
                for _ in 0..<20 {
                    turn += 1
                    slowest = max(
                        slowest,
                        try clock.measure { _ = try client.acquire("turn-\(turn)", session: session) }
                    )
                }
                try leader.stop()
                #expect(slowest < .milliseconds(1_000), "a request took \(slowest) while leadership moved")
                try held.verify(on: cluster.others(than: leader))
            }
        }

        @Test("all nodes stopped and started again: locks, sessions and tokens survive")
        func allStop() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 20)
                for node in cluster.nodes { try node.stop() }
                try cluster.startAll()
                try held.verify(on: cluster.nodes)
                #expect(try LockClient(cluster.nodes[1]).renew(session: held.session) > 0)
                try held.verifyTokensRise(on: cluster.nodes)
            }
        }

        @Test("SIGTERM with clients connected and waiting ends in time, and no waiter is told a grant that is not")
        func waitersAtShutdown() throws {
            try withCluster(nodes: 1) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 1)
                let waiter = try LockClient(cluster.nodes[0])
                let session = try waiter.openSession()
                let name = try #require(held.tokens.first?.name)
                try waiter.connection.send(["LOCK.ACQUIRE", name, "SESSION", session, "WAIT", "FOREVER"])
                let idle = try cluster.nodes[0].connect()
                try cluster.nodes[0].stop()
                let reply = try? waiter.connection.reply(within: .seconds(2))
                #expect(reply?.integer == nil, "\(String(describing: reply))")
                #expect(idle.socket.isClosedByPeer(within: .seconds(2)))
            }
        }
    }
}
