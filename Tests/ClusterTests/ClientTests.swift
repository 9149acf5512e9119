// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

extension RealProcesses {
    @Suite("Clients", .serialized)
    struct Clients {
        @Test("two clients with one lock, each at another node: they take turns, and the waiter is told at once")
        func twoClients() throws {
            try withCluster { cluster in
                let one = try LockClient(cluster.nodes[0])
                let two = try LockClient(cluster.nodes[1])
                let first = try one.openSession()
                let second = try two.openSession()
                var last: Int64 = 0
                var holder = (client: one, session: first)
                var waiter = (client: two, session: second)
                last = try #require(try one.acquire("baton", session: first))
                for _ in 0..<50 {
                    #expect(try waiter.client.acquire("baton", session: waiter.session) == nil)
                    try waiter.client.connection.send(
                        ["LOCK.ACQUIRE", "baton", "SESSION", waiter.session, "WAIT", "FOREVER"])
                    try holder.client.release("baton", session: holder.session)
                    let token = try #require(try waiter.client.connection.reply(within: .seconds(5)).integer)
                    #expect(token > last)
                    last = token
                    swap(&holder, &waiter)
                }
            }
        }

        @Test("a client that waits and goes away leaves the line; the one behind it is served")
        func waiterLeaves() throws {
            try withCluster { cluster in
                let holder = try LockClient(cluster.nodes[0])
                let session = try holder.openSession()
                _ = try #require(try holder.acquire("line", session: session))
                let quitter = try LockClient(cluster.nodes[1])
                let gone = try quitter.openSession()
                try quitter.connection.send(["LOCK.ACQUIRE", "line", "SESSION", gone, "WAIT", "FOREVER"])
                let next = try LockClient(cluster.nodes[2])
                let last = try next.openSession()
                try eventually("the first waiter stands in line") { try waiters(next) == 1 }
                try next.connection.send(["LOCK.ACQUIRE", "line", "SESSION", last, "WAIT", "FOREVER"])
                let observer = try LockClient(cluster.nodes[0])
                try eventually("both stand in line") { try waiters(observer) == 2 }
                quitter.connection.socket.close()
                try eventually("the first waiter has left") { try waiters(observer) == 1 }
                try holder.release("line", session: session)
                #expect(try next.connection.reply(within: .seconds(5)).integer != nil)
            }
        }

        private func waiters(_ client: LockClient) throws -> Int {
            try client.connection.command("LOCK.INFO", "line").field("waiters")?.elements?.count ?? 0
        }

        @Test("a forced release stands in the log of the shard's leader, with its reason, once in the cluster")
        func audit() throws {
            try withCluster { cluster in
                let client = try LockClient(cluster.nodes[1])
                let session = try client.openSession()
                _ = try client.acquire("taken", session: session)
                let answer = try cluster.nodes[2].connect().command(["LOCK.BREAK", "taken", "REASON", "maintenance-7"])
                #expect(answer.integer == 1, "\(answer)")
                try eventually("one node has written it down") {
                    cluster.nodes.filter { $0.log.contains("maintenance-7") }.count == 1
                }
            }
        }

        @Test("a deadlock across two nodes: one victim is told the whole cycle, the other goes on")
        func deadlock() throws {
            try withCluster { cluster in
                let one = try LockClient(cluster.nodes[0])
                let two = try LockClient(cluster.nodes[2])
                let first = try one.openSession(label: "alice")
                let second = try two.openSession(label: "bob")
                _ = try #require(try one.acquire("fork", session: first))
                _ = try #require(try two.acquire("spoon", session: second))
                try one.connection.send(["LOCK.ACQUIRE", "spoon", "SESSION", first, "WAIT", "FOREVER"])
                let observer = try LockClient(cluster.nodes[1])
                try eventually("alice waits") {
                    try observer.connection.command("LOCK.INFO", "spoon").field("waiters")?.elements?.count == 1
                }
                let reply = try two.connection.command("LOCK.ACQUIRE", "fork", "SESSION", second, "WAIT", "FOREVER")
                #expect(reply.errorCode == "DEADLOCK")
                for word in ["alice", "bob", "fork", "spoon"] {
                    #expect(reply.errorText?.contains(word) == true, "\(reply)")
                }
                try two.release("spoon", session: second)
                #expect(try one.connection.reply(within: .seconds(5)).integer != nil)
            }
        }

        @Test("real redis-cli", .enabled(if: Installation.redisCLI != nil, "needs Debian's package redis-tools"))
        func redisCLI() throws {
            let tool = try #require(Installation.redisCLI)
            try withCluster { cluster in
                func ask(_ words: String..., on node: Int = 0, resp3: Bool = false) throws -> String {
                    let port = "\(cluster.nodes[node].clientPort)"
                    return try require([tool, "-p", port] + (resp3 ? ["-3"] : []) + words)
                        .trimmingCharacters(in: .whitespacesAndNewlines)
                }
                #expect(try ask("PING") == "PONG")
                let session = try ask("SESSION.OPEN", "TTL", "30000", "LABEL", "shell")
                let token = try #require(Int(try ask("LOCK.ACQUIRE", "shell lock", "SESSION", session, on: 1)))
                #expect(try ask("LOCK.CHECK", "shell lock", "TOKEN", "\(token)", on: 2) == "1")
                #expect(try ask("LOCK.INFO", "shell lock", resp3: true).contains(session))
                let other = try ask("SESSION.OPEN")
                #expect(try ask("LOCK.ACQUIRE", "shell lock", "SESSION", other, on: 2).isEmpty)
                #expect(try ask("LOCK.RELEASE", "shell lock", "SESSION", session, on: 2) == "0")
                #expect(try ask("LOCK.RELEASE", "shell lock", "SESSION", session).hasPrefix("NOTHELD"))
                #expect(try ask("SESSION.CLOSE", session) == "0")
                #expect(try ask("SESSION.RENEW", session).hasPrefix("NOSESSION"))
                #expect(try ask("NO.SUCH").hasPrefix("ERR"))
                #expect(try ask("INFO").contains("redis_version"))
            }
        }

        @Test(
            "real redis-py",
            .enabled(if: Installation.pythonWithRedis != nil, "needs Python with the package redis"),
            arguments: [2, 3]
        )
        func redisPy(protocol version: Int) throws {
            let python = try #require(Installation.pythonWithRedis)
            try withCluster { cluster in
                let script = Installation.packageRoot + "/Tests/ClusterTests/python/redis_py.py"
                let ports = cluster.nodes.map { "\($0.clientPort)" }
                let (ending, output) = try run([python, script, "\(version)"] + ports, within: .seconds(60))
                #expect(ending == .exited(0), "\(output)")
                #expect(output.hasSuffix("all checks passed\n"), "\(output)")
            }
        }
    }
}
