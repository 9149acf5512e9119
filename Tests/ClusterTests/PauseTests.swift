// SPDX-License-Identifier: Apache-2.0
import Testing

extension RealProcesses {
    @Suite("Pauses: a node that slept does not act on what it believed", .serialized)
    struct Pauses {
        @Test("SIGSTOP of the leader: the others go on; resumed, it grants nothing that is granted elsewhere")
        func pausedLeader() throws {
            try withCluster { cluster in
                let first = try LockClient(cluster.nodes[0])
                let old = try first.openSession(ttlMilliseconds: 1_000)
                let token = try #require(try first.acquire("guarded", session: old))
                let leader = try cluster.leader()
                let others = cluster.others(than: leader)

                // These requests reach the leader's socket while it sleeps; it reads them when it wakes, before it
                // can have heard of its successor.
                let stale = try LockClient(leader)
                let stranger = try LockClient(others[0]).openSession(label: "stranger")
                leader.pause()
                try stale.connection.send(["LOCK.ACQUIRE", "guarded", "SESSION", stranger, "WAIT", "0"])
                try stale.connection.send(["LOCK.CHECK", "guarded", "TOKEN", "\(token)"])
                try stale.connection.send(["SESSION.RENEW", old])

                // The session ends and the lock passes on, without the leader.
                let heir = try LockClient(others[1])
                let session = try onAnyNode(others, "a session opens") { try $0.openSession(label: "heir") }
                let next: Int64 = try eventually("the lock passes on", within: .seconds(15)) {
                    try heir.acquire("guarded", session: session, waitMilliseconds: 2_000)
                }
                #expect(next > token)

                leader.resume()
                let grant = try stale.connection.reply()
                #expect(grant == .null || grant.errorText != nil, "granted by a deposed leader: \(grant)")
                let check = try stale.connection.reply()
                #expect(check.integer == 0 || check.errorText != nil, "a stale token passed: \(check)")
                let renewal = try stale.connection.reply()
                #expect(renewal.errorText != nil, "a dead session was renewed: \(renewal)")

                try leader.waitUntilReady()
                #expect(try LockClient(leader).check("guarded", token: next))
                #expect(try !LockClient(leader).check("guarded", token: token))
                try cluster.waitUntilEqual()
            }
        }

        @Test("SIGSTOP and resume of the leader under load, three times")
        func pausedUnderLoad() throws {
            try withCluster { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 10)
                let load = LockLoad(cluster.nodes)
                for _ in 0..<3 {
                    let leader = try cluster.leader()
                    leader.pause()
                    _ = try cluster.leader(among: cluster.others(than: leader))
                    try load.progress(by: 10)
                    leader.resume()
                    try leader.waitUntilReady()
                    try load.progress(by: 10)
                }
                try load.finish()
                try held.verify(on: cluster.nodes)
                try cluster.waitUntilEqual()
            }
        }

        @Test("without a quorum nothing is granted, and the client is told so; with it back, all goes on")
        func noQuorum() throws {
            try withCluster(settings: ["--request-timeout-ms", "1000"]) { cluster in
                let held = try HeldLocks(cluster.nodes[0], count: 5)
                let asked = cluster.nodes[0]
                let client = try LockClient(asked)
                let session = try client.openSession()
                for node in cluster.others(than: asked) { node.pause() }
                let refusal = #expect(throws: LockClient.Refused.self) {
                    try client.acquire("unreachable", session: session)
                }
                #expect(["UNKNOWN", "UNAVAILABLE", "NOTDONE"].contains(refusal?.code ?? ""), "\(refusal?.text ?? "")")
                let body = "{\"session\": \"\(session)\"}"
                let answer = try asked.http("POST", "/v1/locks/unreachable/acquire", body: body)
                #expect(answer.status == 504 && answer.isProblem, "\(answer.status) \(answer.text)")
                #expect(answer.text.contains("\"outcome\":\"unknown\""), "\(answer.text)")
                // Liveness never asks for a quorum; readiness does.
                #expect(try asked.http("GET", "/livez").status == 200)
                try eventually("\(asked.name) is not ready") { try asked.http("GET", "/readyz").status == 503 }
                for node in cluster.others(than: asked) { node.resume() }
                for node in cluster.nodes { try node.waitUntilReady() }
                try held.verify(on: cluster.nodes)
                try cluster.waitUntilEqual()
            }
        }
    }
}
