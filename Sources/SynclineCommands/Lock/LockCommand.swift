// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import FoundationEssentials
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct LockCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lock",
        abstract: "Run a command while holding a lock.",
        usage: "syncline lock <name> [options] -- <command> …",
        discussion: """
            The command finds SYNCLINE_LOCK, SYNCLINE_TOKEN (the fencing token) and SYNCLINE_SESSION in its \
            environment, and has standard input and output. It runs in a process group of its own; SIGINT, SIGTERM and \
            SIGHUP are passed on to the group.

            If the cluster cannot be reached for half the time to live, the group gets SIGTERM; if that lasts, SIGKILL \
            before the cluster can give the lock to another. The lock is given back when the command ends. If syncline \
            lock itself is killed with SIGKILL, nobody is left to end the command: what it writes should carry the \
            fencing token.

            Exit status: the command's own, or 128 + n when signal n ended it; 121 not acquired, 122 lost, 123 no node \
            reachable, 126 and 127 when the command cannot be run or is not found.
            """
    )

    @Argument(help: "The lock's name.")
    var name: String

    @Option(help: "shared, update or exclusive.")
    var mode: LockMode = .exclusive

    @Option(help: ArgumentHelp("How long to wait for it: 0s, 500ms, 30s, 5m, forever.", valueName: "time"))
    var wait = TimeSpan(.seconds(30))

    @Option(help: ArgumentHelp("The session's time to live, 1s to 1h.", valueName: "time"))
    var ttl = TimeSpan(.seconds(10))

    @Option(help: "The lock's namespace.")
    var namespace = "default"

    @Option(help: "Shown to others as the holder; by default the command, host and process id.")
    var label: String?

    @Option(help: ArgumentHelp("Deadlock victims are chosen by lowest priority first.", valueName: "n"))
    var priority: Int64 = 0

    @OptionGroup var connection: ConnectionOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError("no command to run; write it after --, as in: syncline lock \(name) -- make deploy")
        }
        guard let duration = ttl.duration, duration >= .seconds(1), duration <= .seconds(3600) else {
            throw ValidationError("--ttl must be between 1s and 1h")
        }
    }

    func run() async throws {
        let signals = Signals.stream([SIGINT, SIGTERM, SIGHUP])
        let client = try connection.client(requestTimeout: ttl.duration ?? .seconds(10))
        try await Failure.reporting {
            // A signal that comes before the command runs ends the wait; afterwards all are the command's.
            let (early, earlySink) = AsyncStream.makeStream(of: Int32.self)
            let (late, lateSink) = AsyncStream.makeStream(of: Int32.self)
            let isRunning = Latch()
            let router = Task {
                for await number in signals { (isRunning.isSet ? lateSink : earlySink).yield(number) }
            }
            defer { router.cancel() }
            switch await acquire(client, until: early) {
            case .signalled(let number): throw ExitCode(128 + number)
            case .failed(let error): throw error
            case .granted(let session, let grant):
                isRunning.set()
                let status: Int32
                do {
                    status = try await LockRunner(
                        session: session,
                        grant: grant,
                        command: command,
                        environment: ProcessInfo.processInfo.environment,
                        signals: late
                    ).run()
                } catch {
                    _ = try? await session.close()
                    throw error
                }
                try await finish(session, status)
            }
        }
    }

    private enum Acquisition: Sendable {
        case granted(Session, LockGrant)
        case failed(SynclineError)
        case signalled(Int32)
    }

    private func acquire(_ client: SynclineClient, until signals: AsyncStream<Int32>) async -> Acquisition {
        let label = label ?? "\(command[0]) (\(ProcessInfo.processInfo.hostName), pid \(getpid()))"
        let (name, mode, wait, ttl) = (name, mode, wait.wait, ttl.duration ?? .seconds(10))
        let (namespace, priority) = (namespace, priority)
        return await withTaskGroup(of: Acquisition?.self) { group in
            group.addTask {
                do throws(SynclineError) {
                    let session = try await client.openSession(
                        ttl: ttl,
                        label: Self.cut(label),
                        namespace: namespace
                    )
                    do throws(SynclineError) {
                        return .granted(
                            session,
                            try await session.lock(name, mode: mode, wait: wait, priority: priority)
                        )
                    } catch {
                        _ = try? await session.close()
                        throw error
                    }
                } catch {
                    return .failed(error)
                }
            }
            group.addTask {
                for await number in signals { return .signalled(number) }
                return nil
            }
            var outcome = Acquisition.failed(SynclineError(code: .cancelled, message: "interrupted"))
            var isDecided = false
            while let finished = await group.next() {
                group.cancelAll()
                guard let finished else { continue }
                if case .granted(let session, _) = finished, isDecided { _ = try? await session.close() }
                if !isDecided { outcome = finished }
                isDecided = true
            }
            return outcome
        }
    }

    /// At most 256 bytes, the limit of a label.
    static func cut(_ label: String) -> String {
        var label = Substring(label)
        while label.utf8.count > 256 { label = label.dropLast() }
        return String(label)
    }

    private func finish(_ session: Session, _ status: Int32) async throws {
        if !session.state.isLost {
            do throws(SynclineError) {
                try await session.close()
            } catch {
                Console.error(
                    "the lock could not be given back and goes free when the session expires: \(error.message)"
                )
            }
        }
        if status != 0 { throw ExitCode(status) }
    }
}
