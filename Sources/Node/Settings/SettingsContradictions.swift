// SPDX-License-Identifier: Apache-2.0
import Primitives

extension Settings {
    /// Values that are well written each but wrong together.
    func contradictions(flags: [String]) -> [SettingProblem] {
        timingProblems() + portProblems() + peerProblems() + exposureProblems(flags: flags) + cacheProblems()
            + memoryProblems()
    }

    private func cacheProblems() -> [SettingProblem] {
        guard DurabilityRules.namespaces(cacheNamespaces) == nil else { return [] }
        return [
            SettingProblem(
                subject: "cache-namespaces",
                cause:
                    "`\(cacheNamespaces)` is not a list of prefixes, each with `replicated`, `through`, `local` or "
                    + "`volatile`",
                remedy: "write it as `session:=volatile,price:=replicated`"
            )
        ]
    }

    private func memoryProblems() -> [SettingProblem] {
        guard redis.isMemory, cacheDirtyBytes > cacheStoreBytes else { return redis.problems }
        return redis.problems + [
            SettingProblem(
                subject: "cache-dirty-bytes",
                cause: "\(SettingKind.bytesText(cacheDirtyBytes)) may wait to be written back, and cache-store-bytes "
                    + "lets only \(SettingKind.bytesText(cacheStoreBytes)) be held",
                remedy: "use --cache-dirty-bytes \(SettingKind.bytesText(cacheStoreBytes)) or less"
            )
        ]
    }

    private func timingProblems() -> [SettingProblem] {
        var problems: [SettingProblem] = []
        if electionMin.nanoseconds < heartbeat.nanoseconds * 2 {
            problems.append(
                SettingProblem(
                    subject: "election-min-ms",
                    cause:
                        "\(electionMin.milliseconds) is less than twice the heartbeat of \(heartbeat.milliseconds) ms, "
                        + "so one late heartbeat would start an election",
                    remedy: "use --election-min-ms \(heartbeat.milliseconds * 3) or more"
                )
            )
        }
        if electionMax <= electionMin {
            problems.append(
                SettingProblem(
                    subject: "election-max-ms",
                    cause: "\(electionMax.milliseconds) is not above election-min-ms (\(electionMin.milliseconds)), "
                        + "so nodes would stand for election together",
                    remedy: "use --election-max-ms \(electionMin.milliseconds * 2)"
                )
            )
        }
        return problems
    }

    private func portProblems() -> [SettingProblem] {
        let ports = [("client-port", clientPort), ("http-port", httpPort), ("peer-port", peerPort)]
        var problems: [SettingProblem] = []
        for (index, (key, port)) in ports.enumerated() {
            for (other, otherPort) in ports[..<index] where otherPort == port {
                problems.append(
                    SettingProblem(
                        subject: key,
                        cause: "port \(port) is \(other)'s already",
                        remedy: "give each of the three its own port"
                    )
                )
            }
        }
        return problems
    }

    private func peerProblems() -> [SettingProblem] {
        guard !peers.isEmpty else {
            return replicas == 1
                ? []
                : [
                    SettingProblem(
                        subject: "replicas",
                        cause: "\(replicas) copies need \(replicas) nodes, and peers names none",
                        remedy: "name all nodes with --peers \(nodeID)=HOST:\(peerPort),…, or use --replicas 1"
                    )
                ]
        }
        guard let own = peers.first(where: { $0.name == nodeID }) else {
            let names = peers.map(\.name)
            let suggestion = Suggestion.nearest(to: nodeID, in: names) ?? names.joined(separator: " or ")
            return [
                SettingProblem(
                    subject: "peers",
                    cause: "it does not name this node, \(nodeID)",
                    remedy:
                        "start this node with --node-id \(suggestion), or add \(nodeID)=HOST:\(peerPort) to peers"
                )
            ]
        }
        var problems: [SettingProblem] = []
        if replicas > peers.count {
            problems.append(
                SettingProblem(
                    subject: "replicas",
                    cause: "\(replicas) copies need \(replicas) nodes, and peers names \(peers.count)",
                    remedy: "use --replicas \(peers.count), or add nodes to peers"
                )
            )
        }
        if Loopback.contains(host), Loopback.isAddress(own.host), !Loopback.contains(own.host) {
            problems.append(
                SettingProblem(
                    subject: "host",
                    cause: "peers will look for \(nodeID) at \(own.host), but it would listen on \(host) only",
                    remedy: "use --host \(own.host) --insecure, or loopback addresses in peers"
                )
            )
        }
        return problems
    }

    private func exposureProblems(flags: [String]) -> [SettingProblem] {
        guard !insecure, !Loopback.contains(host) else { return [] }
        let command = (["syncline", "node"] + Self.hidingSecrets(flags) + ["--insecure"]).joined(separator: " ")
        return [
            SettingProblem(
                subject: "host",
                cause: "listening on \(host) would let anyone who reaches it use and join the cluster: "
                    + "this version has neither tokens nor TLS",
                remedy: "on a network you trust run: \(command)\n    (or set SYNCLINE_INSECURE=true); "
                    + "otherwise use --host 127.0.0.1"
            )
        ]
    }
}

extension Settings {
    /// The command line as it may be shown to anyone.
    fileprivate static func hidingSecrets(_ flags: [String]) -> [String] {
        let secrets = SettingDefinition.all.filter(\.isSecret).map(\.flag)
        return flags.indices.map { index in
            if index > 0, secrets.contains(flags[index - 1]) { return "…" }
            return secrets.first { flags[index].hasPrefix($0 + "=") }.map { $0 + "=…" } ?? flags[index]
        }
    }
}

enum Loopback {
    static func contains(_ host: String) -> Bool {
        host == "localhost" || host == "::1" || isIPv4(host, prefix: "127.")
    }

    /// A numeric address; what a name stands for is not known before it is looked up.
    static func isAddress(_ host: String) -> Bool { host.contains(":") || isIPv4(host, prefix: "") }

    private static func isIPv4(_ host: String, prefix: String) -> Bool {
        let parts = host.split(separator: ".", omittingEmptySubsequences: false)
        return host.hasPrefix(prefix) && parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
    }
}
