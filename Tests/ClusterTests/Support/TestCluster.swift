// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A cluster of real processes on this machine, with data in a folder of its own.
final class TestCluster {
    let nodes: [TestNode]
    let directory: TemporaryDirectory
    private let network: (any FaultNetwork)?

    /// - Parameters:
    ///   - settings: further arguments of every node.
    ///   - dataRoot: where the nodes' data folders are made, unless in the cluster's own.
    init(
        nodes count: Int = 3,
        network: (any FaultNetwork)? = nil,
        settings: [String] = [],
        environment: [String: String] = [:],
        dataRoot: String? = nil
    ) throws {
        let directory = try TemporaryDirectory()
        self.directory = directory
        self.network = network
        let ports = try FreePorts.take(count * 3)
        nodes = (0..<count).map { number in
            TestNode(
                name: "n\(number)",
                host: network?.address(number) ?? "127.0.0.1",
                ports: Array(ports[number * 3..<number * 3 + 3]),
                dataDirectory: (dataRoot ?? directory.path) + "/n\(number)",
                logPath: directory.path + "/n\(number).log",
                launcher: network?.launcher(number) ?? [],
                settings: settings,
                environment: environment
            )
        }
        try network?.prepare(nodes)
    }

    var peers: String { nodes.map { "\($0.name)=\($0.peerAddress)" }.joined(separator: ",") }

    func node(_ name: String) throws -> TestNode {
        guard let node = nodes.first(where: { $0.name == name }) else { throw TestFailure("no node \(name)") }
        return node
    }

    func others(than node: TestNode) -> [TestNode] { nodes.filter { $0 !== node } }

    func number(of node: TestNode) throws -> Int {
        guard let number = nodes.firstIndex(where: { $0 === node }) else { throw TestFailure("no node \(node.name)") }
        return number
    }

    func start(_ node: TestNode) throws {
        try node.start(peers: network?.peers(of: number(of: node), nodes) ?? peers)
    }

    /// Starts every node that does not run and waits until all are ready.
    func startAll(within limit: Duration = .seconds(30)) throws {
        for node in nodes where !node.isRunning { try start(node) }
        for node in nodes { try node.waitUntilReady(within: limit) }
    }

    func killAll() throws { for node in nodes where node.isRunning { try node.kill() } }

    // MARK: Who leads

    /// The node that leads the shard in which sessions are open, as the leader itself reports it; the tests keep
    /// all their sessions in one namespace, thus in one shard.
    func leader(among candidates: [TestNode]? = nil, within limit: Duration = .seconds(15)) throws -> TestNode {
        try eventually("a node leads the shard with the sessions", within: limit) {
            var found: (node: TestNode, term: Int)?
            for node in candidates ?? nodes where node.isRunning {
                for row in (try? node.shards()) ?? [] where row.role == "leader" && row.sessions > 0 {
                    if row.term > (found?.term ?? -1) { found = (node, row.term) }
                }
            }
            return found?.node
        }
    }

    /// Waits until every node has applied the same index of every shard.
    func waitUntilEqual(within limit: Duration = .seconds(20)) throws {
        try eventually("all nodes have applied the same", within: limit, every: .milliseconds(50)) {
            let states = try nodes.map { node in
                try node.shards().sorted { $0.shard < $1.shard }.map {
                    [$0.shard, $0.appliedIndex, $0.sessions, $0.objects]
                }
            }
            return states.dropFirst().allSatisfy { $0 == states[0] }
        }
    }

    // MARK: After a failure

    /// A node that died although no test killed it.
    var unaskedDeath: String? {
        for node in nodes where !node.isMeantToBeDown {
            if let ending = node.process?.ending { return "\(node.name) died: \(ending)" }
        }
        return nil
    }

    func logTails() -> String {
        nodes.map { "── \($0.name) ──\n\($0.log.suffix(6_000))" }.joined(separator: "\n")
    }
}

/// Runs `body` on a started cluster and ends it. A failure carries the end of each node's log.
func withCluster(
    nodes count: Int = 3,
    network: (any FaultNetwork)? = nil,
    settings: [String] = [],
    environment: [String: String] = [:],
    dataRoot: String? = nil,
    start: Bool = true,
    budget: Duration = .seconds(60),
    _ body: (TestCluster) throws -> Void
) throws {
    let cluster = try TestCluster(
        nodes: count,
        network: network,
        settings: settings,
        environment: environment,
        dataRoot: dataRoot
    )
    TestBudget.begin(budget)
    defer {
        TestBudget.end()
        try? cluster.killAll()
    }
    do {
        if start { try cluster.startAll() }
        try body(cluster)
        if let death = cluster.unaskedDeath { throw TestFailure(death) }
    } catch {
        throw TestFailure("\(error)\n\(cluster.unaskedDeath ?? "")\n\(cluster.logTails())")
    }
}
