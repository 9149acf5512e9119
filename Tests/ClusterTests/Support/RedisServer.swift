// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// A real `redis-server` for a cluster to write back to, and what stands in it.
final class RedisServer {
    let port: Int
    private let directory: TemporaryDirectory
    private let options: [String]
    private var process: ChildProcess?

    /// - Parameter options: as on the command line of `redis-server`.
    init(_ options: String...) throws {
        directory = try TemporaryDirectory()
        port = try FreePorts.take(1)[0]
        self.options = options
        try start()
    }

    deinit { try? kill() }

    /// Every write is on the disk before it is answered.
    static func durable() throws -> RedisServer { try RedisServer("--appendonly", "yes", "--appendfsync", "always") }

    var url: String { "redis://127.0.0.1:\(port)" }

    /// What a node needs to have it as the cache's memory.
    var settings: [String] { ["--memory", "redis", "--redis-url", url, "--redis-timeout-ms", "500"] }

    func start() throws {
        let arguments = [
            "redis-server", "--bind", "127.0.0.1", "--port", "\(port)", "--dir", directory.path, "--daemonize", "no",
            "--save", "",
        ]
        process = try ChildProcess(arguments + options, outputPath: directory.path + "/log")
        try eventually("redis-server answers") {
            if let ending = process?.ending {
                throw Violation("redis-server ended: \(ending)\n\(process?.output ?? "")")
            }
            return try command("PING").text == "PONG"
        }
    }

    /// SIGKILL; returns when it is dead.
    func kill() throws {
        process?.signal(SIGKILL)
        process?.signal(SIGCONT)
        try process?.wait(within: .seconds(10))
        process = nil
    }

    func pause() { process?.signal(SIGSTOP) }

    func resume() { process?.signal(SIGCONT) }

    // MARK: What stands in it

    @discardableResult
    func command(_ words: String...) throws -> RESPReply {
        try RESPConnection(host: "127.0.0.1", port: port, within: .seconds(5)).command(words)
    }

    /// The name that a key of the cluster has here; nil when it is not here.
    func name(of key: String) throws -> String? {
        try command("KEYS", "syncline:*:k:\(key)").elements?.first?.text
    }

    /// All keys of the cluster with their values; what stands before a value is its version.
    func contents() throws -> [String: String] {
        let connection = try RESPConnection(host: "127.0.0.1", port: port, within: .seconds(5))
        let names = try connection.command("KEYS", "syncline:*:k:*").elements?.compactMap(\.text) ?? []
        guard !names.isEmpty else { return [:] }
        let values = try connection.command(["MGET"] + names).elements ?? []
        var found: [String: String] = [:]
        for (name, value) in zip(names, values) {
            guard let key = name.range(of: ":k:"), let text = value.text else { continue }
            found[String(name[key.upperBound...])] = String(text.dropFirst(24))
        }
        return found
    }
}
