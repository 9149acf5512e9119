// SPDX-License-Identifier: Apache-2.0
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Carries a supervision out: one child, one session.
struct LockRunner {
    let session: Session
    let grant: LockGrant
    let command: [String]
    let environment: [String: String]
    let signals: AsyncStream<Int32>

    /// Runs the command under the lock and returns the status to exit with.
    func run() async throws -> Int32 {
        var environment = environment
        environment["SYNCLINE_LOCK"] = grant.name
        environment["SYNCLINE_TOKEN"] = "\(grant.token)"
        environment["SYNCLINE_SESSION"] = session.id
        let child: ChildProcess
        do {
            child = try ChildProcess(ChildProcess.Launch(arguments: command, environment: environment, logPath: nil))
        } catch {
            Console.error(error.message)
            throw error.status
        }
        let terminal = Terminal(child: child)
        terminal.handOver()
        defer { terminal.takeBack() }
        return await supervise(child, terminal)
    }

    private func supervise(_ child: ChildProcess, _ terminal: Terminal) async -> Int32 {
        let (events, sink) = AsyncStream.makeStream(of: LockSupervision.Event.self)
        let sources = [
            Task { for await event in child.events { sink.yield(.child(event)) } },
            Task { for await state in session.states { sink.yield(.session(state)) } },
            Task { for await number in signals { sink.yield(.signal(number)) } },
            Task { await watchDeadline(sink) },
        ]
        defer { for source in sources { source.cancel() } }
        var supervision = LockSupervision()
        for await event in events {
            for action in supervision.handle(event) {
                switch action {
                case .signalGroup(let number): child.signalGroup(number)
                case .say(let text): Console.error(text)
                case .stopWithChild: terminal.stopWithChild()
                case .finish(let status): return status
                }
            }
        }
        return ExitStatus.failure.rawValue
    }

    /// Tells when the time for KILL has come, which every renewal puts off.
    private func watchDeadline(_ sink: AsyncStream<LockSupervision.Event>.Continuation) async {
        let margin = LockSupervision.margin(ttl: session.ttl)
        while !Task.isCancelled, !session.state.isLost {
            let due = session.deadline - margin
            if ContinuousClock.now >= due {
                sink.yield(.killDue)
                try? await Task.sleep(for: margin)
            } else {
                try? await Task.sleep(until: due, clock: .continuous)
            }
        }
    }
}

/// The terminal's foreground, which belongs to the command while it runs: keys such as Ctrl-C go to it alone.
struct Terminal {
    let child: ChildProcess
    private let isForeground: Bool

    init(child: ChildProcess) {
        self.child = child
        isForeground = isatty(STDIN_FILENO) == 1 && tcgetpgrp(STDIN_FILENO) == getpgrp()
        // A process in the background that sets the foreground is stopped by this signal unless it ignores it.
        if isForeground { Signals.ignore(SIGTTOU) }
    }

    func handOver() {
        guard isForeground else { return }
        tcsetpgrp(STDIN_FILENO, child.pid)
        // It may have tried to read before it was in the foreground, which stops it.
        child.signalGroup(SIGCONT)
    }

    func takeBack() {
        if isForeground { tcsetpgrp(STDIN_FILENO, getpgrp()) }
    }

    /// Ctrl-Z: the shell shall see a stopped job. Renewals stop with it; after a stop longer than the session lives,
    /// the lock is lost and the command killed when it goes on.
    func stopWithChild() {
        guard isForeground else { return }
        takeBack()
        kill(getpid(), SIGSTOP)
        handOver()
    }
}
