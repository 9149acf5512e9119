// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// What these tests find on the machine, and what they cannot do without it.
enum Installation {
    /// The program under test: `SYNCLINE_BINARY`, else the one built together with these tests.
    static let binary: String = {
        if let path = ProcessInfo.processInfo.environment["SYNCLINE_BINARY"] { return path }
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        let tests = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        for path in [tests, own].compactMap({ $0 }) {
            let beside = URL(fileURLWithPath: path).deletingLastPathComponent().appendingPathComponent("syncline").path
            if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        }
        return packageRoot + "/.build/release/syncline"
    }()

    static let packageRoot: String = {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<4 { url.deleteLastPathComponent() }
        return url.path
    }()

    static let isRoot = geteuid() == 0

    static func find(_ tool: String) -> String? {
        let path = (ProcessInfo.processInfo.environment["PATH"] ?? "") + ":/usr/sbin:/sbin"
        return path.split(separator: ":").map { "\($0)/\(tool)" }.first(where: FileManager.default.isExecutableFile)
    }

    static let redisCLI = find("redis-cli")

    /// A Python that has redis-py: the one `make test` prepares, else the system's if it has it.
    static let pythonWithRedis: String? = {
        let own = packageRoot + "/.build-venv/bin/python"
        for python in [ProcessInfo.processInfo.environment["SYNCLINE_TEST_PYTHON"], own, find("python3")] {
            guard let python, (try? run([python, "-c", "import redis"]))?.ending == .exited(0) else { continue }
            return python
        }
        return nil
    }()

    /// Network namespaces, veth pairs, a bridge and packet filters, tried once.
    static let hasNamespaces: Bool = {
        guard isRoot, find("ip") != nil, find("nft") != nil else { return false }
        return (try? NamespaceNetwork(nodes: 1)) != nil
    }()

    /// A file system in a file, mounted through a loop device, tried once.
    static let hasLoopMounts: Bool = {
        guard isRoot, find("mkfs.ext4") != nil, find("mount") != nil else { return false }
        return (try? LoopFileSystem(mebibytes: 16)) != nil
    }()
}
