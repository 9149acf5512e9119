// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import Foundation
import Glibc
import Memory
import NIOCore
import NIOPosix
import RESP
import Synchronization

struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A real `redis-server`, on a port of its own and in a folder of its own; both end with the object.
final class RedisProcess: Sendable {
    let port: Int
    let folder: TemporaryFolder
    private let options: [String]
    private let pid = Mutex<pid_t>(0)

    /// - Parameter options: as on the command line of `redis-server`, without the dashes in front.
    static func start(_ options: String..., folder: TemporaryFolder? = nil) async throws -> RedisProcess {
        try await start(options, folder: folder)
    }

    static func start(_ options: [String], folder: TemporaryFolder? = nil) async throws -> RedisProcess {
        let folder = try folder ?? TemporaryFolder()
        for _ in 0..<20 {
            let server = RedisProcess(port: Ports.next(), folder: folder, options: options)
            do {
                try await server.launch()
                return server
            } catch is PortTaken {
                continue
            }
        }
        throw TestFailure("no free port for redis-server")
    }

    private struct PortTaken: Error {}

    private init(port: Int, folder: TemporaryFolder, options: [String]) {
        self.port = port
        self.folder = folder
        self.options = options
    }

    deinit { kill() }

    /// Probably: whoever uses it tries another when it is taken.
    static func freePort() -> Int { Ports.next() }

    var url: String { "redis://127.0.0.1:\(port)" }

    var log: String { (try? String(contentsOfFile: folder.path + "/log-\(port)", encoding: .utf8)) ?? "" }

    /// Starts the process, again after `kill`, and waits until it answers.
    /// - Parameter extra: options of this start only.
    func launch(_ extra: String..., ready: String = "Ready to accept connections") async throws {
        let file = folder.path + "/log-\(port)"
        try? FileManager.default.removeItem(atPath: file)
        let fixed = [
            "--bind", "127.0.0.1", "--dir", folder.path, "--logfile", file, "--daemonize", "no", "--save", "",
            "--port", "\(port)", "--repl-diskless-sync-delay", "0",
        ]
        let command = try Self.command() + fixed + options + extra
        // The signal at the end of the parent is tied to the thread that started the child: this pool's never end.
        let child = try await NIOThreadPool.singleton.runIfActive { try self.spawn(command) }
        pid.withLock { $0 = child }
        let isUp = await eventually {
            if self.log.contains(ready) { return true }
            return self.hasEnded
        }
        if self.log.contains("Address already in use") {
            kill()
            throw PortTaken()
        }
        guard isUp, !hasEnded else {
            kill()
            throw TestFailure("redis-server did not start:\n\(log)")
        }
    }

    /// As `kill -9`.
    func kill() {
        pid.withLock { pid in
            guard pid != 0 else { return }
            Glibc.kill(pid, SIGKILL)
            waitpid(pid, nil, 0)
            pid = 0
        }
    }

    func pause() { pid.withLock { _ = Glibc.kill($0, SIGSTOP) } }

    func resume() { pid.withLock { _ = Glibc.kill($0, SIGCONT) } }

    private var hasEnded: Bool {
        pid.withLock { pid in
            guard pid != 0 else { return true }
            guard waitpid(pid, nil, WNOHANG) == pid else { return false }
            pid = 0
            return true
        }
    }

    private func spawn(_ command: [String]) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, folder.path + "/output-\(port)", O_WRONLY | O_CREAT, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)
        // The sockets of this process: one that a child has inherited stays open when it is closed here.
        for descriptor in 3..<1_024 as Range<Int32> { posix_spawn_file_actions_addclose(&actions, descriptor) }
        var arguments = command.map { strdup($0) } + [nil]
        defer { for argument in arguments { free(argument) } }
        var child: pid_t = 0
        let code = posix_spawnp(&child, command[0], &actions, nil, &arguments, environ)
        guard code == 0 else { throw TestFailure("cannot start \(command[0]): \(String(cString: strerror(code)))") }
        return child
    }

    /// What starts a server that dies with this process, however this process ends.
    private static func command() throws -> [String] {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        guard let folder = folders.first(where: { FileManager.default.isExecutableFile(atPath: "\($0)/redis-server") })
        else {
            throw TestFailure(
                "these tests need redis-server 7, and it is not in PATH: run scripts/setup.sh test, or "
                    + "apt-get install redis-server"
            )
        }
        return ["setpriv", "--pdeathsig", "KILL", "\(folder)/redis-server"]
    }
}

/// Numbers below those that the system gives to outgoing connections.
private enum Ports {
    private static let last = Mutex(20_000 + Int(getpid()) * 37 % 11_000)

    static func next() -> Int {
        last.withLock { last in
            last = last >= 31_900 ? 20_000 : last + 1
            return last
        }
    }
}

/// Runs a command to its end; throws unless it succeeds.
func run(_ command: [String]) async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/output"
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = command
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = file
    process.standardError = file
    let status = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Int32, any Error>) in
        process.terminationHandler = { continuation.resume(returning: $0.terminationStatus) }
        do { try process.run() } catch { continuation.resume(throwing: error) }
    }
    guard status == 0 else {
        let output = try String(contentsOfFile: path, encoding: .utf8)
        throw TestFailure("\(command.joined(separator: " ")) failed:\n\(output)")
    }
}

/// A new folder, removed with the object.
final class TemporaryFolder: Sendable {
    let path: String

    init() throws {
        let url = FileManager.default.temporaryDirectory.appendingPathComponent("syncline-memory-\(UUID())")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
        path = url.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
