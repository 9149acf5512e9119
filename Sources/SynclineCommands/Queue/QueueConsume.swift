// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import FoundationEssentials
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct QueueConsume: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "consume",
        abstract: "Run a command for each message, and settle the message by how the command ends.",
        usage: "syncline queue consume <name> [options] -- <command> …",
        discussion: """
            The command has the message's body as its standard input, and in its environment SYNCLINE_QUEUE, \
            SYNCLINE_MESSAGE_ID, SYNCLINE_ATTEMPT (from 1 on), SYNCLINE_KEY when there is one, and the headers that \
            are text: header content-type is SYNCLINE_HEADER_CONTENT_TYPE.

            It exits with 0: the message is acknowledged. With 65 (EX_DATAERR): the message is rejected and becomes a \
            dead letter at once. With anything else, or by a signal: the message is refused, with that as the reason; \
            it comes again after --retry-delay, doubled with each attempt, until its attempts are used up. While the \
            command runs, the lease of its message is extended. Messages come again when syncline or its machine \
            dies, so a command may see a message more than once.

            On SIGTERM, SIGINT or SIGHUP no more messages are taken, those not begun go back, and running commands \
            are waited for. A second signal is passed to them as SIGTERM, a third as SIGKILL; messages of commands \
            that it ends go back without counting as an attempt.

            Exit status: 0 after --max, --wait or one signal; 128 + n when signal n was the second; 123 no node \
            reachable at the start; 126 and 127 when the command cannot be run or is not found (its message goes \
            back); 1 for other failures, such as the queue being deleted.
            """
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Option(help: ArgumentHelp("Commands that run at the same time.", valueName: "n"))
    var parallel = 1

    @Option(help: ArgumentHelp("End when no message has come for so long; by default never.", valueName: "time"))
    var wait = TimeSpan(nil)

    @Option(help: ArgumentHelp("End after so many messages.", valueName: "n"))
    var max: Int?

    @Option(help: ArgumentHelp("How long each message is leased; by default as the queue is set.", valueName: "time"))
    var lease: TimeSpan?

    @Option(help: ArgumentHelp("A failed message comes again after this, doubled each time.", valueName: "time"))
    var retryDelay = TimeSpan(.seconds(1))

    @Option(help: ArgumentHelp("The longest such delay.", valueName: "time"))
    var maxRetryDelay = TimeSpan(.seconds(300))

    @Option(help: ArgumentHelp("Messages taken ahead; by default as many as --parallel.", valueName: "n"))
    var prefetch: Int?

    @OptionGroup var connection: ConnectionOptions

    @Argument(parsing: .postTerminator, help: "The command and its arguments, after --.")
    var command: [String] = []

    func validate() throws {
        guard !command.isEmpty else {
            throw ValidationError(
                "no command to run; write it after --, as in: syncline queue consume \(name) -- ./handle"
            )
        }
        guard (1...1000).contains(parallel) else { throw ValidationError("--parallel must be between 1 and 1000") }
        guard max.map({ $0 > 0 }) ?? true else { throw ValidationError("--max must be at least 1") }
        guard prefetch.map({ (1...1000).contains($0) }) ?? true else {
            throw ValidationError("--prefetch must be between 1 and 1000")
        }
        _ = try (lease?.finite("--lease"), retryDelay.finite("--retry-delay"))
        _ = try maxRetryDelay.finite("--max-retry-delay")
    }

    func run() async throws {
        let signals = Signals.stream([SIGINT, SIGTERM, SIGHUP])
        var options = ConsumeOptions()
        options.prefetch = min(Swift.max(prefetch ?? parallel, parallel), max ?? 1000)
        options.lease = try lease?.finite("--lease")
        options.label = LockCommand.cut("\(command[0]) (\(ProcessInfo.processInfo.hostName), pid \(getpid()))")
        let policy = ConsumePolicy(
            retryDelay: try retryDelay.finite("--retry-delay"),
            maxRetryDelay: try maxRetryDelay.finite("--max-retry-delay")
        )
        let client = try connection.client()
        let runner = ConsumeRunner(
            messages: client.queue(name).messages(options),
            command: command,
            environment: ProcessInfo.processInfo.environment,
            policy: policy,
            parallel: parallel,
            limit: max,
            idle: wait.duration
        )
        do {
            let outcome = try await runner.run(signals: signals)
            Console.note(outcome.summary)
            await client.close()
            if outcome.status != 0 { throw ExitCode(outcome.status) }
        } catch {
            await client.close()
            try await Failure.reporting { throw error }
        }
    }
}

/// How the end of a command settles its message: a value, so that each rule of it can be tested.
struct ConsumePolicy: Sendable {
    enum Verdict: Equatable, Sendable {
        case ack
        case nack(delay: Duration, reason: String)
        case reject(reason: String)
        case giveBack
    }

    /// EX_DATAERR of sysexits.h: the message itself is at fault.
    static let rejectStatus: Int32 = 65

    var retryDelay: Duration
    var maxRetryDelay: Duration

    /// - Parameters:
    ///   - attempt: which attempt this was, from 1 on.
    ///   - wasTerminated: this tool sent the command a signal to end it.
    func verdict(_ end: ChildEvent, attempt: Int, wasTerminated: Bool) -> Verdict {
        switch end {
        case .exited(0): .ack
        case .exited(Self.rejectStatus): .reject(reason: "exit status \(Self.rejectStatus)")
        case .exited(let status):
            wasTerminated ? .giveBack : .nack(delay: delay(attempt), reason: "exit status \(status)")
        case .signalled(let number):
            wasTerminated ? .giveBack : .nack(delay: delay(attempt), reason: Signals.name(number))
        case .stopped: .giveBack
        }
    }

    /// Doubled with each attempt, up to the longest.
    func delay(_ attempt: Int) -> Duration {
        var delay = retryDelay
        for _ in 1..<max(2, min(attempt, 64)) where attempt > 1 && delay < maxRetryDelay { delay = delay * 2 }
        return min(delay, maxRetryDelay)
    }

    /// What the command finds in its environment.
    static func environment(_ base: [String: String], _ message: QueueMessage) -> [String: String] {
        var environment = base.filter { !$0.key.hasPrefix("SYNCLINE_HEADER_") && $0.key != "SYNCLINE_KEY" }
        environment["SYNCLINE_QUEUE"] = message.queue.name
        environment["SYNCLINE_MESSAGE_ID"] = message.id
        environment["SYNCLINE_ATTEMPT"] = "\(message.attempt)"
        environment["SYNCLINE_KEY"] = message.key.flatMap { isPossible($0) ? $0 : nil }
        for header in message.headers {
            guard let text = header.text, isPossible(text) else { continue }
            environment[variable(header.name)] = text
        }
        return environment
    }

    /// An environment's values end at the first NUL.
    private static func isPossible(_ text: String) -> Bool { !text.utf8.contains(0) }

    /// `content-type` as `SYNCLINE_HEADER_CONTENT_TYPE`.
    static func variable(_ header: String) -> String {
        let name = header.uppercased().unicodeScalars.map { scalar in
            scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
                ? Character(scalar) : "_"
        }
        return "SYNCLINE_HEADER_" + String(name)
    }
}
