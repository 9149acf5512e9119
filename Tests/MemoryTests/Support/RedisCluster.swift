// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import Primitives
import RESP

@testable import Memory

/// Real servers in cluster mode.
struct RedisCluster {
    let servers: [RedisProcess]

    /// Each knows only itself and serves no slot.
    static func apart(_ count: Int) async throws -> RedisCluster {
        var servers: [RedisProcess] = []
        for _ in 0..<count {
            servers.append(
                try await RedisProcess.start(
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    "\(RedisProcess.freePort())",
                    "--cluster-node-timeout",
                    "2000",
                    "--cluster-require-full-coverage",
                    "no",
                    "--repl-ping-replica-period",
                    "1"
                )
            )
        }
        return RedisCluster(servers: servers)
    }

    /// As an operator makes one.
    static func created(_ count: Int) async throws -> RedisCluster {
        let cluster = try await apart(count)
        let addresses = cluster.servers.map { "127.0.0.1:\($0.port)" }
        try await run(["redis-cli", "--cluster", "create"] + addresses + ["--cluster-yes"])
        for server in cluster.servers {
            guard await eventually({ (try? await server.send("CLUSTER", "INFO").string?.contains("state:ok")) == true })
            else { throw TestFailure("the cluster did not form:\n\(server.log)") }
        }
        return cluster
    }

    var url: String { "redis+cluster://127.0.0.1:\(servers[0].port)" }

    func id(_ server: RedisProcess) async throws -> String {
        try await server.send("CLUSTER", "MYID").string ?? ""
    }

    /// Who has the slot, as the first server says.
    func owner(_ slot: UInt16) async throws -> RedisProcess {
        let map = SlotMap(try await servers[0].send("CLUSTER", "SLOTS"), asked: RedisAddress.Host("127.0.0.1", 0))
        guard let port = map?[slot]?.port, let server = servers.first(where: { $0.port == port }) else {
            throw TestFailure("nobody has slot \(slot)")
        }
        return server
    }
}
