// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Crashes: nothing granted is lost, nothing is granted twice", .serialized)
    struct Crashes {
        @Test("kill -9 of the leader under load")
        func leaderKilled() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 40)
                let load = LockLoad(cluster.nodes)
                try load.progress(by: 100)
                let leader = try cluster.leader()
                try leader.kill()
                try load.progress(by: 100)
                try held.verify(on: cluster.others(than: leader))
                let next = try cluster.leader()
                #expect(next !== leader)

                try cluster.start(leader)
                try leader.waitUntilReady()
                try load.progress(by: 50)
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: [leader])
                try held.verifyTokensRise(on: cluster.nodes)
            }
        }

        @Test("kill -9 of a follower under load")
        func followerKilled() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 40)
                let load = LockLoad(cluster.nodes)
                try load.progress(by: 100)
                let leader = try cluster.leader()
                let follower = try #require(cluster.others(than: leader).first)
                try follower.kill()
                try load.progress(by: 100)
                try held.verify(on: cluster.others(than: follower))

                try cluster.start(follower)
                try follower.waitUntilReady()
                try load.progress(by: 50)
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: [follower])
                try held.verifyTokensRise(on: cluster.nodes)
            }
        }

        @Test("kill -9 of one node after the other, each brought back")
        func everyNodeKilled() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let load = LockLoad(cluster.nodes)
                for round in 0..<6 {
                    let victim = round.isMultiple(of: 2) ? try cluster.leader() : cluster.nodes[round / 2]
                    try victim.kill()
                    try load.progress(by: 30)
                    try cluster.start(victim)
                    try victim.waitUntilReady()
                }
                try load.finish()
                try cluster.waitUntilEqual()
                try held.verify(on: cluster.nodes)
            }
        }

        @Test("kill -9 of all nodes at once: locks, sessions and tokens survive")
        func allKilled() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 40)
                let load = LockLoad(cluster.nodes)
                try load.progress(by: 100)
                try cluster.killAll()
                try cluster.startAll()
                try load.progress(by: 50)
                try load.finish()
                try held.verify(on: cluster.nodes)
                let granted = try onAnyNode(cluster.nodes, "the session is renewed") {
                    try $0.renew(session: held.session)
                }
                #expect(granted > 0)
                try held.verifyTokensRise(on: cluster.nodes)
                try cluster.waitUntilEqual()
            }
        }

        @Test("a session that is not renewed ends, and its lock goes to the one that waits, with a higher token")
        func holderVanishes() throws {
            try withCluster { cluster in
                let holder = try LockClient(cluster.nodes[0])
                let session = try holder.openSession(ttlMilliseconds: 1_000)
                let token = try #require(try holder.acquire("inherited", session: session))
                holder.connection.socket.close()

                let heir = try LockClient(cluster.nodes[1])
                let second = try heir.openSession()
                let next = try #require(try heir.acquire("inherited", session: second, waitMilliseconds: 8_000))
                #expect(next > token)
                let late = try LockClient(cluster.nodes[2])
                let refusal = #expect(throws: LockClient.Refused.self) {
                    try late.release("inherited", session: session)
                }
                #expect(refusal?.code == "NOSESSION")
            }
        }
    }
}
