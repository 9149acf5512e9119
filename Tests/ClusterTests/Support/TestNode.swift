// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc

/// One real `syncline node` process and the folder it keeps its data in.
final class TestNode {
    let name: String
    let host: String
    let clientPort: Int
    let httpPort: Int
    let peerPort: Int
    var dataDirectory: String
    let logPath: String
    /// What stands before the program's path: `ip netns exec NAME`, for one.
    let launcher: [String]
    var settings: [String]
    var environment: [String: String]
    private(set) var process: ChildProcess?
    /// Set while the test itself has ended the process, so that an unasked death is noticed.
    private(set) var isMeantToBeDown = true

    init(
        name: String,
        host: String,
        ports: [Int],
        dataDirectory: String,
        logPath: String,
        launcher: [String] = [],
        settings: [String] = [],
        environment: [String: String] = [:]
    ) {
        self.name = name
        self.host = host
        self.clientPort = ports[0]
        self.httpPort = ports[1]
        self.peerPort = ports[2]
        self.dataDirectory = dataDirectory
        self.logPath = logPath
        self.launcher = launcher
        self.settings = settings
        self.environment = environment
    }

    var peerAddress: String { "\(host):\(peerPort)" }
    var clientEndpoint: String { "\(host):\(clientPort)" }
    var isRunning: Bool { process?.isRunning ?? false }
    var log: String { (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: logPath)), as: UTF8.self)) ?? "" }

    func command(peers: String) -> [String] {
        launcher + [
            Installation.binary, "node", "--node-id", name, "--host", host, "--client-port", "\(clientPort)",
            "--http-port", "\(httpPort)", "--peer-port", "\(peerPort)", "--data-dir", dataDirectory, "--peers", peers,
        ] + (host == "127.0.0.1" ? [] : ["--insecure"]) + settings
    }

    func start(peers: String) throws {
        process = try ChildProcess(command(peers: peers), environment: environment, outputPath: logPath)
        isMeantToBeDown = false
    }

    // MARK: What is done to it

    /// SIGKILL; returns when the process is dead.
    func kill() throws {
        isMeantToBeDown = true
        process?.signal(SIGKILL)
        process?.signal(SIGCONT)
        try process?.wait(within: .seconds(10))
    }

    /// SIGTERM; does not wait for the end.
    func beginStop() {
        isMeantToBeDown = true
        process?.signal(SIGTERM)
    }

    /// SIGTERM; returns when the process has ended by itself, which must be with exit code 0.
    func stop(within limit: Duration = .seconds(15)) throws {
        beginStop()
        let ending = try process?.wait(within: limit)
        guard ending == nil || ending == .exited(0) else {
            throw TestFailure("\(name) ended with \(ending.map { "\($0)" } ?? "") on SIGTERM")
        }
    }

    func pause() { process?.signal(SIGSTOP) }

    func resume() { process?.signal(SIGCONT) }

    /// Waits until the process ends by itself, which the test expects.
    func waitForEnd(within limit: Duration = .seconds(15)) throws -> ChildProcess.Ending {
        isMeantToBeDown = true
        guard let process else { throw TestFailure("\(name) was never started") }
        return try process.wait(within: limit)
    }

    // MARK: What it is asked

    func connect(within limit: Duration = .seconds(5)) throws -> RESPConnection {
        try RESPConnection(host: host, port: clientPort, within: limit)
    }

    func http(
        _ method: String,
        _ path: String,
        body: String? = nil,
        headers: [String: String] = [:],
        within limit: Duration = .seconds(10)
    ) throws -> HTTPAnswer {
        try HTTPExchange.request(method, path, body: body, headers: headers, host: host, port: httpPort, within: limit)
    }

    var isReady: Bool { (try? http("GET", "/readyz", within: .seconds(2)))?.status == 200 }

    func waitUntilReady(within limit: Duration = .seconds(20)) throws {
        try eventually("\(name) is ready", within: limit) {
            if let ending = process?.ending { throw Violation("\(name) ended: \(ending)\n\(log.suffix(2_000))") }
            return isReady
        }
    }

    /// What the process occupies in memory now.
    func residentMebibytes() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(process?.pid ?? 0)/status", encoding: .utf8)
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
        guard let kibibytes = line?.split(separator: " ").dropFirst().first.flatMap({ Int($0) }) else {
            throw TestFailure("\(name) has no memory figure")
        }
        return kibibytes >> 10
    }

    /// This node's replicas as it sees them itself.
    func shards() throws -> [ShardReport] {
        let answer = try http("GET", "/v1/cluster/shards", within: .seconds(2))
        let rows = (answer.json as? [[String: Any]]) ?? (answer.object["shards"] as? [[String: Any]])
        guard answer.status == 200, let rows else { throw TestFailure("\(name): no shards: \(answer.text)") }
        return rows.compactMap(ShardReport.init)
    }
}

/// One row of `/v1/cluster/shards`.
struct ShardReport: Equatable {
    var shard: Int
    var role: String
    var term: Int
    var leader: String?
    var commitIndex: Int
    var appliedIndex: Int
    var sessions: Int
    var objects: Int

    init?(_ row: [String: Any]) {
        guard let shard = row["shard"] as? Int, let role = row["role"] as? String, let term = row["term"] as? Int else {
            return nil
        }
        self.shard = shard
        self.role = role
        self.term = term
        self.leader = row["leader"] as? String
        self.commitIndex = row["commit_index"] as? Int ?? 0
        self.appliedIndex = row["applied_index"] as? Int ?? 0
        self.sessions = row["sessions"] as? Int ?? 0
        self.objects = row["objects"] as? Int ?? 0
    }
}
