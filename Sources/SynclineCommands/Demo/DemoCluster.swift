// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Synchronization
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct DemoNode: Sendable {
    let index: Int
    let clientPort: Int
    let httpPort: Int
    let peerPort: Int

    var name: String { "node-\(index)" }

    var client: Endpoint { Endpoint(host: "127.0.0.1", port: clientPort) }

    var http: Endpoint { Endpoint(host: "127.0.0.1", port: httpPort) }
}

/// Three node processes of this very executable.
final class DemoCluster: Sendable {
    let nodes: [DemoNode]
    let folder: String
    let isTemporary: Bool
    /// Set once the tour is over and the nodes stay up.
    let isStaying = Latch()
    private let executable: String
    /// Beyond those that every demo's nodes have.
    private let settings: [String]
    private let children = Mutex<[Int: ChildProcess]>([:])

    init(folder: String?, basePort: Int?, settings: [String] = []) throws {
        self.settings = settings
        isTemporary = folder == nil
        if let folder {
            self.folder = folder
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        } else {
            self.folder = try Self.temporaryFolder()
        }
        executable = try Self.ownPath()
        let base = try basePort ?? Self.freeBase()
        nodes = (0..<3).map { index in
            let first = base + index * 10
            return DemoNode(index: index, clientPort: first, httpPort: first + 1, peerPort: first + 2)
        }
    }

    var endpoints: [Endpoint] { nodes.map(\.client) }

    func start(_ node: DemoNode) throws(DemoFailure) {
        let peers = nodes.map { "\($0.name)=127.0.0.1:\($0.peerPort)" }.joined(separator: ",")
        // The nodes' settings are the demo's, not those of the shell it was started from.
        let environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("SYNCLINE_") }
        let arguments =
            [
                executable, "node", "--node-id", node.name, "--host", "127.0.0.1", "--client-port",
                "\(node.clientPort)",
                "--http-port", "\(node.httpPort)", "--peer-port", "\(node.peerPort)", "--peers", peers,
                "--data-dir", "\(folder)/\(node.name)", "--loops", "1", "--log-format", "text",
            ] + settings
        do {
            let child = try ChildProcess(
                ChildProcess.Launch(arguments: arguments, environment: environment, logPath: logPath(of: node))
            )
            children.withLock { $0[node.index] = child }
        } catch {
            throw DemoFailure(error.message)
        }
    }

    func processID(of node: DemoNode) -> Int32? { children.withLock { $0[node.index]?.pid } }

    /// As `kill -9` does it, and waits until it is gone.
    func kill(_ node: DemoNode) async {
        guard let child = children.withLock({ $0.removeValue(forKey: node.index) }) else { return }
        child.signalGroup(SIGKILL)
        for await _ in child.events {}
    }

    /// Waits until the node says that it is ready to serve.
    func waitUntilReady(_ node: DemoNode) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            try Task.checkCancellation()
            let answer = try? await HTTPRequest.send("/readyz", to: [node.http], timeout: .seconds(1))
            if answer?.status == 200 { return }
            if let child = children.withLock({ $0[node.index] }), child.isOver {
                throw DemoFailure("\(node.name) has ended instead of becoming ready")
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        throw DemoFailure("\(node.name) is not ready after 60 seconds")
    }

    /// Returns when a node ends by itself; otherwise when the task is cancelled.
    func watch() async throws {
        let running = children.withLock { $0 }
        try await withThrowingTaskGroup(of: Int?.self) { group in
            for (index, child) in running {
                group.addTask {
                    for await event in child.events where event != .stopped { return index }
                    return nil
                }
            }
            while let ended = try await group.next() {
                if let ended, !Task.isCancelled {
                    Console.note("node-\(ended) has ended; see \(logPath(of: nodes[ended]))")
                }
            }
        }
        while !Task.isCancelled { try await Task.sleep(for: .seconds(3600)) }
    }

    /// TERM to all, KILL after ten seconds to those still there; removes temporary data.
    func stop() async {
        let running = children.withLock { children in
            defer { children = [:] }
            return Array(children.values)
        }
        for child in running { child.signalGroup(SIGTERM) }
        let deadline = ContinuousClock.now + .seconds(10)
        for child in running {
            while !child.isOver, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
            child.signalGroup(SIGKILL)
            while !child.isOver { try? await Task.sleep(for: .milliseconds(10)) }
        }
        if isTemporary { try? FileManager.default.removeItem(atPath: folder) }
    }

    func logPath(of node: DemoNode) -> String { "\(folder)/\(node.name).log" }

    func logTail(of node: DemoNode, lines: Int) -> String {
        guard let data = FileManager.default.contents(atPath: logPath(of: node)) else { return "(none)" }
        return String(decoding: data, as: UTF8.self).split(separator: "\n").suffix(lines).joined(separator: "\n")
    }

    private static func temporaryFolder() throws -> String {
        let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var template = Array("\(base)/syncline-demo-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else {
            throw DemoFailure("cannot make a folder under \(base): \(String(cString: strerror(errno)))")
        }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func ownPath() throws -> String {
        var buffer = [CChar](repeating: 0, count: 4096)
        let count = readlink("/proc/self/exe", &buffer, buffer.count)
        guard count > 0 else { throw DemoFailure("cannot find this executable: \(String(cString: strerror(errno)))") }
        return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// A base whose nine ports are free: 7700 if it can be had, so that commands find the demo without being told, else
    /// one that depends on this process, so that demos started together do not meet. All of them are below the range
    /// from which the system gives ports to outgoing connections.
    static func freeBase() throws -> Int {
        let start = Int(getpid()) % 200
        let bases = [7_700] + (0..<200).map { 10_000 + (start + $0) % 200 * 100 }
        let base = bases.first { base in
            [0, 10, 20].allSatisfy { offset in (0..<3).allSatisfy { isFree(base + offset + $0) } }
        }
        guard let base else { throw DemoFailure("no free ports; name some with --base-port") }
        return base
    }

    private static func isFree(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var reuse: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &reuse, socklen_t(MemoryLayout<Int32>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        address.sin_port = UInt16(port).bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
                bind(descriptor, generic, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
