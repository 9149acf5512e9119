// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct QueuePublish: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "publish",
        abstract: "Store messages in a queue; they are on disk at a majority of its nodes when this returns.",
        usage: """
            syncline queue publish <name> <body> … [options]
            syncline queue publish <name> - [options]
            syncline queue publish <name> --lines [options]
            """,
        discussion: """
            Prints the id of each message. `-` reads one message from standard input as it is, whatever bytes it has; \
            --lines reads one message from each line that is not empty. Messages are stored in the order given; when \
            one fails, those after it may be stored or not, and the message says how far it came.
            """
    )

    /// Messages published together.
    static let batch = 256

    @Argument(help: "The queue's name; it is made with defaults if there is none.")
    var name: String

    @Argument(help: "One message each, or - for standard input.")
    var bodies: [String] = []

    @Flag(help: "Standard input holds one message per line.")
    var lines = false

    @Option(help: "Messages of one key are delivered in order, one at a time.")
    var key: String?

    @Option(help: ArgumentHelp("Not to be delivered before: 500ms, 30s, 5m, 2h.", valueName: "time"))
    var delay: TimeSpan?

    @Option(help: ArgumentHelp("Not to be delivered before this time, in milliseconds since 1970.", valueName: "ms"))
    var at: Int64?

    @Option(help: ArgumentHelp("0–9; higher goes first.", valueName: "n"))
    var priority = 0

    @Option(help: ArgumentHelp("Dropped when nobody has taken it for so long.", valueName: "time"))
    var ttl: TimeSpan?

    @Option(help: "Your own id: a second message with it is not stored within the queue's window.")
    var id: String?

    @Option(name: .customLong("header"), help: ArgumentHelp("May be given several times.", valueName: "name=value"))
    var headers: [HeaderArgument] = []

    @Option(help: "Tenants share a queue fairly.")
    var tenant: String?

    @Option(help: "Publish only while the token of this lock is its latest.")
    var lock: String?

    @Option(help: ArgumentHelp("The lock's fencing token.", valueName: "n"))
    var token: UInt64?

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        if lines, !bodies.isEmpty { throw ValidationError("give message bodies or --lines, not both") }
        if !lines, bodies.isEmpty { throw ValidationError("no message: give a body, - or --lines") }
        if bodies.contains("-"), bodies.count > 1 {
            throw ValidationError("- stands for all of standard input, so it is the only body")
        }
        if id != nil, lines || bodies.count > 1 { throw ValidationError("--id is for a single message") }
        if delay != nil, at != nil { throw ValidationError("give --delay or --at, not both") }
        if (lock == nil) != (token == nil) { throw ValidationError("--lock and --token belong together") }
        guard (0...9).contains(priority) else { throw ValidationError("--priority must be between 0 and 9") }
        _ = try (delay?.finite("--delay"), ttl?.finite("--ttl"))
    }

    func run() async throws {
        let pattern = try pattern()
        try await connection.withQueue(name) { queue in
            var ids: [String] = []
            if lines {
                let input = StandardInput()
                while case let batch = input.lines(upTo: Self.batch), !batch.isEmpty {
                    try await publish(batch, like: pattern, to: queue, &ids)
                }
            } else if bodies == ["-"] {
                try await publish([StandardInput().all()], like: pattern, to: queue, &ids)
            } else {
                try await publish(bodies.map { Array($0.utf8) }, like: pattern, to: queue, &ids)
            }
            if connection.output == .json { Console.out(JSONText.encode(["ids": ids])) }
        }
    }

    private func pattern() throws -> OutgoingMessage {
        var schedule = MessageSchedule.immediately
        if let delay = try delay?.finite("--delay") { schedule = .after(delay) }
        if let at { schedule = .at(unixMilliseconds: at) }
        return OutgoingMessage(
            body: [],
            key: key,
            schedule: schedule,
            priority: priority,
            ttl: try ttl?.finite("--ttl"),
            id: id,
            headers: headers.map(\.header),
            tenant: tenant,
            lock: lock.map { LockGrant(name: $0, mode: .exclusive, token: token ?? 0, session: "") }
        )
    }

    private func publish(
        _ bodies: [[UInt8]],
        like pattern: OutgoingMessage,
        to queue: Queue,
        _ ids: inout [String]
    ) async throws {
        let messages = bodies.map { body in
            var message = pattern
            message.body = body
            return message
        }
        var failure: SynclineError?
        for result in await queue.publish(contentsOf: messages) {
            switch result {
            case .success(let id):
                ids.append(id)
                if connection.output == .table { Console.out(id) }
            case .failure(let error): failure = failure ?? error
            }
        }
        guard let failure else { return }
        if ids.count + messages.count > 1 { Console.error("\(ids.count) messages are stored; then one failed:") }
        throw failure
    }
}

/// Standard input as bytes.
final class StandardInput {
    private let descriptor: Int32
    private var buffer: [UInt8] = []
    /// What of the buffer has been given out.
    private var start = 0
    private var isAtEnd = false

    init(descriptor: Int32 = STDIN_FILENO) { self.descriptor = descriptor }

    func all() -> [UInt8] {
        while !isAtEnd { fill() }
        defer { start = buffer.count }
        return Array(buffer[start...])
    }

    /// The next lines that are not empty, without their ends. As many as are there, so that what comes slowly is not
    /// held back; at least one until the input has ended.
    func lines(upTo limit: Int) -> [[UInt8]] {
        var found: [[UInt8]] = []
        var searched = start
        while found.count < limit {
            if let end = buffer[searched...].firstIndex(of: UInt8(ascii: "\n")) {
                add(buffer[start..<end], to: &found)
                start = end + 1
                searched = start
            } else if isAtEnd {
                add(buffer[start...], to: &found)
                start = buffer.count
                break
            } else if !found.isEmpty {
                break
            } else {
                buffer.removeFirst(start)
                start = 0
                searched = buffer.count
                fill()
            }
        }
        return found
    }

    private func add(_ line: ArraySlice<UInt8>, to found: inout [[UInt8]]) {
        let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
        if !line.isEmpty { found.append(Array(line)) }
    }

    private func fill() {
        let size = 1 << 16
        let part = [UInt8](unsafeUninitializedCapacity: size) { target, count in
            repeat { count = read(descriptor, target.baseAddress, size) } while count < 0 && errno == EINTR
            count = max(count, 0)
        }
        isAtEnd = part.isEmpty
        buffer += part
    }
}
