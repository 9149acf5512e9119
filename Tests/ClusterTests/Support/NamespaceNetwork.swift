// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Hosts on one machine: a network namespace for each node, joined by a bridge in a namespace of its own (so that
/// the machine's own packet filters, Docker's for one, do not meddle), with this process on the bridge as a client.
final class NamespaceNetwork: FaultNetwork {
    private let tag: String
    private let subnet: Int
    private let count: Int

    init(nodes count: Int) throws {
        let number = Int.random(in: 0..<0x10000)
        self.tag = "sl\(String(number, radix: 16))"
        self.subnet = number % 200 + 20
        self.count = count
        do { try build() } catch {
            remove()
            throw error
        }
    }

    deinit { remove() }

    func address(_ node: Int) -> String { "10.213.\(subnet).\(node + 1)" }

    func launcher(_ node: Int) -> [String] { ["ip", "netns", "exec", space(node)] }

    func prepare(_ nodes: [TestNode]) {}

    func peers(of node: Int, _ nodes: [TestNode]) -> String? { nil }

    private func space(_ node: Int) -> String { "\(tag)-\(node)" }

    private var hub: String { "\(tag)-hub" }

    private func build() throws {
        try require(["ip", "netns", "add", hub])
        try require(["ip", "-n", hub, "link", "add", "bridge", "type", "bridge"])
        try require(["ip", "-n", hub, "link", "set", "bridge", "up"])
        for node in 0..<count {
            try require(["ip", "netns", "add", space(node)])
            try plug(end: "eth0", into: space(node), port: "p\(node)", address: address(node))
            try require(["ip", "-n", space(node), "link", "set", "lo", "up"])
        }
        try plug(end: "\(tag)-c", into: nil, port: "pc", address: "10.213.\(subnet).254")
    }

    private func plug(end: String, into space: String?, port: String, address: String) throws {
        let within = space.map { ["-n", $0] } ?? []
        try require(
            ["ip", "-n", hub, "link", "add", port, "type", "veth", "peer", "name", end, "netns"]
                + [space.map { "/run/netns/\($0)" } ?? "\(getpid())"]
        )
        try require(["ip", "-n", hub, "link", "set", port, "master", "bridge", "up"])
        try require(["ip"] + within + ["address", "add", "\(address)/24", "dev", end])
        try require(["ip"] + within + ["link", "set", end, "up"])
    }

    private func remove() {
        for node in 0..<count { _ = try? run(["ip", "netns", "delete", space(node)]) }
        _ = try? run(["ip", "link", "delete", "\(tag)-c"])
        _ = try? run(["ip", "netns", "delete", hub])
    }

    // MARK: Faults

    func drop(from source: Int, to target: Int) throws {
        let table = ["ip", "netns", "exec", space(target), "nft"]
        try require(table + ["add table inet faults"])
        try require(table + ["add chain inet faults arriving { type filter hook input priority 0 ; }"])
        try require(table + ["add rule inet faults arriving ip saddr \(address(source)) drop"])
    }

    func heal() throws {
        for node in 0..<count {
            _ = try run(["ip", "netns", "exec", space(node), "nft", "delete table inet faults"])
        }
    }
}
