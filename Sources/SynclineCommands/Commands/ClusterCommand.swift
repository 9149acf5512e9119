// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

struct ClusterCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "See nodes and shards; move leadership.",
        subcommands: [Status.self, Shards.self, Transfer.self]
    )

    struct Status: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "status",
            abstract: "Show the nodes of the cluster, as one of them sees it."
        )

        @OptionGroup var http: HTTPOptions
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await Failure.reporting {
                let addresses = try http.addresses(connection)
                let cluster = try await ClusterRequests.cluster(addresses)
                guard connection.output == .table else { return Console.out(JSONText.encode(cluster)) }
                let shards = try await ClusterRequests.shards(addresses)
                let style = Style()
                let rows = cluster.nodes.map { node in
                    [
                        node.name, node.isSelf ? "this node" : node.isConnected ? "connected" : "unreachable",
                        "\(shards.count { $0.leader == node.name })", node.address, node.clientAddress ?? "-",
                        node.httpAddress ?? "-",
                    ]
                }
                let state = cluster.isReady ? style.green("ready") : style.red("not ready")
                Console.out("cluster \(cluster.clusterID), asked \(cluster.node): \(state)")
                for reason in cluster.notReady { Console.out("  \(reason)") }
                Console.out(
                    TextTable.render(["NODE", "STATE", "LEADS", "PEERS", "CLIENTS", "HTTP"], rows, style: style)
                )
            }
        }
    }

    struct Shards: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "shards",
            abstract: "Show each shard's leader and log, as one node sees them."
        )

        @OptionGroup var http: HTTPOptions
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await Failure.reporting {
                let shards = try await ClusterRequests.shards(try http.addresses(connection))
                guard connection.output == .table else { return Console.out(JSONText.encode(shards)) }
                let rows = shards.map { shard in
                    [
                        "\(shard.shard)", shard.leader ?? "none", shard.role, "\(shard.term)", "\(shard.lastIndex)",
                        "\(shard.commitIndex)", "\(shard.appliedIndex)", "\(shard.sessions)", "\(shard.objects)",
                    ]
                }
                Console.out(
                    TextTable.render(
                        ["SHARD", "LEADER", "ROLE HERE", "TERM", "LAST", "COMMITTED", "APPLIED", "SESSIONS", "LOCKS"],
                        rows
                    )
                )
            }
        }
    }

    struct Transfer: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "transfer",
            abstract: "Hand a shard's leadership to another node, as before maintenance.",
            discussion: "Ask the node that leads (--http), or name the shard and any node finds it."
        )

        @Option(help: "The shard; all that the node leads if left out.")
        var shard: Int?

        @Option(help: ArgumentHelp("The node to lead next; the best other one if left out.", valueName: "node"))
        var to: String?

        @OptionGroup var http: HTTPOptions
        @OptionGroup var connection: ConnectionOptions

        func run() async throws {
            try await Failure.reporting {
                let moved = try await ClusterRequests.transfer(shard: shard, to: to, try http.addresses(connection))
                guard connection.output == .table else { return Console.out(JSONText.encode(moved)) }
                let list = moved.shards.map { "\($0)" }.joined(separator: ", ")
                Console.out(
                    moved.shards.isEmpty
                        ? "this node leads nothing; nothing to hand over"
                        : "handing over shard(s) \(list); see the result with: syncline cluster shards"
                )
            }
        }
    }
}

enum ClusterRequests {
    static func cluster(_ addresses: [Endpoint]) async throws -> ClusterView {
        try await checked(HTTPRequest.send("/v1/cluster", to: addresses)).decoded(ClusterView.self)
    }

    static func shards(_ addresses: [Endpoint]) async throws -> [ShardView] {
        try await checked(HTTPRequest.send("/v1/cluster/shards", to: addresses)).decoded(ShardsView.self).shards
    }

    static func transfer(shard: Int?, to target: String?, _ addresses: [Endpoint]) async throws -> TransferView {
        struct Body: Encodable {
            var shard: Int?
            var target: String?
        }
        let body = JSONText.encode(Body(shard: shard, target: target))
        var answer = try await HTTPRequest.send("/v1/cluster/transfer", method: "POST", body: body, to: addresses)
        // Only the leader can hand over; the node that was asked says who that is.
        if answer.status == 409, let leader = try? answer.decoded(ProblemView.self).leader {
            let member = try await cluster(addresses).nodes.first { $0.name == leader }
            if let address = member?.httpAddress.flatMap({ Endpoint($0) }) {
                answer = try await HTTPRequest.send("/v1/cluster/transfer", method: "POST", body: body, to: [address])
            }
        }
        return try checked(answer).decoded(TransferView.self)
    }

    /// Throws a problem document's words.
    static func checked(_ response: HTTPResponse) throws(HTTPError) -> HTTPResponse {
        guard response.status >= 400 else { return response }
        let problem = try? response.decoded(ProblemView.self)
        throw HTTPError(
            message: problem?.detail ?? problem?.title ?? "the node answered with HTTP status \(response.status)",
            remedy: "look at the cluster with: syncline cluster status"
        )
    }
}
