// SPDX-License-Identifier: Apache-2.0
import ClientTestSupport
import FoundationEssentials
import Synchronization
import SynclineClient
import Testing

@testable import SynclineCommands

#if canImport(Glibc)
    import Glibc
#endif

@Suite("Children of the tool", .timeLimit(.minutes(1)))
struct ChildProcessTests {
    private let environment = ["PATH": "/usr/bin:/bin"]

    private func launch(_ arguments: String...) throws -> ChildProcess {
        try ChildProcess(
            ChildProcess.Launch(arguments: arguments, environment: environment, logPath: "/dev/null")
        )
    }

    private func end(_ child: ChildProcess) async -> ChildEvent? {
        var last: ChildEvent?
        for await event in child.events { last = event }
        return last
    }

    @Test("exit status and signal")
    func ends() async throws {
        #expect(await end(try launch("sh", "-c", "exit 9")) == .exited(9))
        #expect(await end(try launch("sh", "-c", "kill -TERM $$")) == .signalled(SIGTERM))
    }

    @Test("not found and not executable")
    func missing() {
        let notFound = #expect(throws: SpawnError.self) { try launch("no-such-command-anywhere") }
        #expect(notFound?.status == .commandNotFound)
        let notExecutable = #expect(throws: SpawnError.self) { try launch("/etc/passwd") }
        #expect(notExecutable?.status == .cannotExecute)
    }

    @Test("a signal reaches what the child has started, and after its end nobody")
    func group() async throws {
        let file = Scratch()
        let child = try launch("sh", "-c", "sleep 1000 & echo $! > \(file.path); wait")
        #expect(await eventually { Int32(file.text.filter(\.isNumber)) != nil })
        let grandchild = try #require(Int32(file.text.filter(\.isNumber)))
        child.signalGroup(SIGKILL)
        #expect(await end(child) == .signalled(SIGKILL))
        #expect(await eventually { kill(grandchild, 0) != 0 || Scratch.isZombie(grandchild) })
        #expect(child.isOver)
        child.signalGroup(SIGKILL)
    }

    @Test("a child has none of this process's own descriptors, and no ignored signals")
    func clean() async throws {
        InheritedDescriptors.remember()
        // A high number, as a low one may be another test's that was open when the list was made.
        let opened = open("/dev/zero", O_RDONLY)
        let high = fcntl(opened, F_DUPFD, 900)
        close(opened)
        defer { close(high) }
        Signals.ignoreBrokenPipes()
        let file = Scratch()
        let child = try launch("sh", "-c", "{ ls -l /proc/$$/fd; grep SigIgn /proc/self/status; } > \(file.path)")
        #expect(await end(child) == .exited(0))
        #expect(!file.text.contains("/dev/zero"))
        let mask = file.text.split(separator: "\n").last?.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) }
        // Above the 31 standard signals the C library has some of its own.
        #expect(try #require(mask) & 0x7fff_ffff == 0)
    }
}

@Suite("syncline lock, with real children and a canned node", .timeLimit(.minutes(1)))
struct LockRunnerTests {
    /// Opens sessions, grants everything, renews while `isUp`.
    private func server(isUp: Switch) async throws -> LoopbackServer {
        try await LoopbackServer.start { words, _ in
            switch words[0] {
            case "SESSION.OPEN": .bulk(words[2])
            case "SESSION.RENEW": isUp.isOn ? .integer(1_000) : .silence
            case "LOCK.ACQUIRE": .integer(77)
            default: .integer(1)
            }
        }
    }

    private static var wallClock: Int64 { Int64(Date().timeIntervalSince1970 * 1e9) }

    private func run(
        _ script: String,
        on server: LoopbackServer,
        ttl: Duration = .seconds(60),
        signals: AsyncStream<Int32> = AsyncStream { _ in }
    ) async throws -> (status: Int32, deadline: Int64) {
        let client = SynclineClient(endpoints: [Endpoint(host: "127.0.0.1", port: server.port)])
        let session = try await client.openSession(ttl: ttl)
        let grant = try await session.lock("job", wait: .none)
        let status = try await LockRunner(
            session: session,
            grant: grant,
            command: ["sh", "-c", script],
            environment: ["PATH": "/usr/bin:/bin"],
            signals: signals
        ).run()
        // By the wall clock, in nanoseconds, as the command shows it.
        let ago = session.deadline.duration(to: .now).components
        let deadline = Self.wallClock - ago.seconds * 1_000_000_000 - ago.attoseconds / 1_000_000_000
        await client.close()
        return (status, deadline)
    }

    @Test("the command has the lock, the token and the session in its environment; its status is handed on")
    func environment() async throws {
        let server = try await server(isUp: Switch(true))
        let file = Scratch()
        let result = try await run(
            "echo $SYNCLINE_LOCK $SYNCLINE_TOKEN $SYNCLINE_SESSION > \(file.path); exit 5",
            on: server
        )
        #expect(result.status == 5)
        let session = server.received("SESSION.OPEN")[0][2]
        #expect(file.text == "job 77 \(session)\n")
        await server.stop()
    }

    @Test("cut off from the cluster: TERM first, then KILL, before the session can expire")
    func cutOff() async throws {
        let isUp = Switch(true)
        let server = try await server(isUp: isUp)
        let file = Scratch()
        let pulse = Scratch()
        let beat = "while :; do date +%s%N >> \(pulse.path); sleep 0.01; done"
        let script = "trap 'echo term >> \(file.path)' TERM; echo ready >> \(file.path); \(beat)"
        async let result = run(script, on: server, ttl: .seconds(1))
        #expect(await eventually { file.text.contains("ready") })
        isUp.turnOff()
        let (status, deadline) = try await result
        #expect(status == SynclineCommands.ExitStatus.lost.rawValue)
        #expect(file.text == "ready\nterm\n")
        // By the cluster's deadline, which is a tenth of a second behind the client's. What counts is when the command
        // last lived; that it ended may be learnt later on a busy machine.
        let last = try #require(pulse.text.split(separator: "\n").last.flatMap { Int64($0) })
        #expect(last > 0 && last < deadline + 100_000_000)
        await server.stop()
    }

    @Test("a signal to the tool reaches the command")
    func forwarding() async throws {
        let server = try await server(isUp: Switch(true))
        let file = Scratch()
        let (signals, sink) = AsyncStream.makeStream(of: Int32.self)
        async let result = run(
            "trap 'exit 42' HUP; echo ready > \(file.path); while :; do sleep 0.01; done",
            on: server,
            signals: signals
        )
        #expect(await eventually { file.text.contains("ready") })
        sink.yield(SIGHUP)
        #expect(try await result.status == 42)
        await server.stop()
    }
}

/// A switch that tests turn off.
final class Switch: Sendable {
    private let state: Mutex<Bool>

    init(_ isOn: Bool) { state = Mutex(isOn) }

    var isOn: Bool { state.withLock { $0 } }

    func turnOff() { state.withLock { $0 = false } }
}

/// A file that goes away with the test.
final class Scratch: Sendable {
    let path = FileManager.default.temporaryDirectory.appending(path: "syncline-\(UUID().uuidString)").path

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var text: String { FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } ?? "" }

    static func isZombie(_ pid: Int32) -> Bool {
        let status = FileManager.default.contents(atPath: "/proc/\(pid)/stat").map {
            String(decoding: $0, as: UTF8.self)
        }
        return status?.contains(") Z ") ?? true
    }
}
