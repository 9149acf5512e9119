// SPDX-License-Identifier: Apache-2.0
import Foundation
import Glibc
import Synchronization

/// A process started by a test. Its output goes to one file, so that a full pipe never stalls it.
///
/// `Foundation.Process` is not used: it reaps on a run loop, and these tests must see the moment of death.
final class ChildProcess: Sendable {
    enum Ending: Equatable, CustomStringConvertible {
        case exited(Int32)
        case signalled(Int32)

        var description: String {
            switch self {
            case .exited(let code): "exit code \(code)"
            case .signalled(let signal): "signal \(signal)"
            }
        }
    }

    let pid: pid_t
    let command: [String]
    let outputPath: String
    private let state = Mutex<Ending?>(nil)

    /// - Parameter environment: joined to this process's own; an empty value removes a name.
    init(_ command: [String], environment: [String: String] = [:], outputPath: String) throws {
        self.command = command
        self.outputPath = outputPath

        // What the tests are told by variables is not meant for a node, which refuses those it does not know.
        var merged = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("SYNCLINE_") }
        // The crash reporter of a killed or crashing node can take minutes; the tests want the death itself.
        merged["SWIFT_BACKTRACE"] = "enable=no"
        for (name, value) in environment { merged[name] = value.isEmpty ? nil : value }

        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_addopen(&actions, 1, outputPath, O_WRONLY | O_CREAT | O_APPEND, 0o644)
        posix_spawn_file_actions_adddup2(&actions, 1, 2)

        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        sigemptyset(&none)
        var defaults = sigset_t()
        sigemptyset(&defaults)
        for signal in [SIGINT, SIGTERM, SIGPIPE, SIGHUP] { sigaddset(&defaults, signal) }
        posix_spawnattr_setsigmask(&attributes, &none)
        posix_spawnattr_setsigdefault(&attributes, &defaults)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        var child: pid_t = 0
        let code = withCStrings(command) { arguments in
            withCStrings(merged.map { "\($0.key)=\($0.value)" }) { variables in
                posix_spawnp(&child, command[0], &actions, &attributes, arguments, variables)
            }
        }
        guard code == 0 else {
            throw TestFailure("cannot start \(command[0]): \(String(cString: strerror(code)))")
        }
        self.pid = child
    }

    deinit {
        if ending == nil {
            kill(pid, SIGKILL)
            _ = try? wait(within: .seconds(5))
        }
    }

    /// nil while it runs.
    var ending: Ending? {
        state.withLock { ending in
            if let ending { return ending }
            var status: Int32 = 0
            guard waitpid(pid, &status, WNOHANG) == pid else { return nil }
            let signal = status & 0x7f
            let found: Ending = signal == 0 ? .exited((status >> 8) & 0xff) : .signalled(signal)
            ending = found
            return found
        }
    }

    var isRunning: Bool { ending == nil }

    func signal(_ number: Int32) { if isRunning { kill(pid, number) } }

    @discardableResult
    func wait(within limit: Duration = .seconds(15)) throws -> Ending {
        try eventually("\(command.joined(separator: " ")) ends", within: limit, every: .milliseconds(5)) { ending }
    }

    var output: String {
        (try? String(decoding: Data(contentsOf: URL(fileURLWithPath: outputPath)), as: UTF8.self)) ?? ""
    }
}

private func withCStrings<Result>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = strings.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    return pointers.withUnsafeMutableBufferPointer { buffer in
        guard let base = buffer.baseAddress else { fatalError("an array with a terminator has a base address") }
        return body(base)
    }
}

/// Runs a command to its end.
@discardableResult
func run(
    _ command: [String],
    environment: [String: String] = [:],
    within limit: Duration = .seconds(30)
) throws -> (ending: ChildProcess.Ending, output: String) {
    let directory = try TemporaryDirectory()
    let child = try ChildProcess(command, environment: environment, outputPath: directory.path + "/output")
    let ending = try child.wait(within: limit)
    return (ending, child.output)
}

/// Runs a command that must succeed.
@discardableResult
func require(_ command: [String], within limit: Duration = .seconds(30)) throws -> String {
    let (ending, output) = try run(command, within: limit)
    guard ending == .exited(0) else {
        throw TestFailure("\(command.joined(separator: " ")): \(ending)\n\(output)")
    }
    return output
}

/// A new folder, removed with its owner.
final class TemporaryDirectory: Sendable {
    let path: String

    init() throws {
        let base = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
        var template = Array("\(base)/syncline-test-XXXXXX".utf8CString)
        guard let created = mkdtemp(&template) else {
            throw TestFailure("cannot make a folder under \(base): \(String(cString: strerror(errno)))")
        }
        self.path = String(cString: created)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
