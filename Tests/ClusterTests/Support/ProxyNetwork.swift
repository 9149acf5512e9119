// SPDX-License-Identifier: Apache-2.0
import FaultProxy
import NIOCore
import NIOPosix

/// A network of loopback addresses where each node dials every other through a proxy of its own.
final class ProxyNetwork: FaultNetwork {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    /// `proxies[i][j]` is what node i dials to reach node j; nil on the diagonal.
    private let proxies: [[FaultProxy?]]

    init(nodes count: Int) throws {
        let loop = group.any()
        proxies = try (0..<count).map { source in
            try (0..<count).map { target in source == target ? nil : try FaultProxy.start(on: loop).wait() }
        }
    }

    deinit {
        for proxy in proxies.joined() { _ = try? proxy?.shutdown().wait() }
        group.shutdownGracefully { _ in }
    }

    func address(_ node: Int) -> String { "127.0.0.1" }

    func launcher(_ node: Int) -> [String] { [] }

    func prepare(_ nodes: [TestNode]) throws {
        for (target, node) in nodes.enumerated() {
            for source in nodes.indices {
                try proxies[source][target]?.setUpstream(host: node.host, port: node.peerPort).wait()
            }
            // Each node is told other addresses, from which each would derive another cluster.
            node.settings += ["--cluster-id", "53594e434c494e4553594e434c494e45"]
        }
    }

    func peers(of node: Int, _ nodes: [TestNode]) -> String? {
        nodes.enumerated().map { target, other in
            let port = proxies[node][target]?.port ?? other.peerPort
            return "\(other.name)=127.0.0.1:\(port)"
        }.joined(separator: ",")
    }

    func drop(from source: Int, to target: Int) throws {
        let lost = FaultProxy.Faults(isBlackholed: true)
        try proxies[source][target]?.apply(lost, to: .toServer).wait()
        try proxies[target][source]?.apply(lost, to: .toClient).wait()
    }

    /// Every byte between the nodes is delayed by so much and passed on in small pieces.
    func slow(milliseconds: ClosedRange<Int64>, maxChunkBytes: Int) throws {
        let faults = FaultProxy.Faults(delayMilliseconds: milliseconds, maxChunkBytes: maxChunkBytes)
        try applyToAll(faults)
    }

    func heal() throws { try applyToAll(FaultProxy.Faults()) }

    private func applyToAll(_ faults: FaultProxy.Faults) throws {
        for proxy in proxies.joined() {
            for direction in FaultProxy.Direction.allCases { try proxy?.apply(faults, to: direction).wait() }
        }
    }

    /// Resets every connection between the nodes; they may be made again at once.
    func resetConnections() throws { for proxy in proxies.joined() { _ = try proxy?.cut().wait() } }
}
