// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import FoundationEssentials
import SynclineClient

struct QueueReceive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "receive",
        abstract: "Take messages on a lease and print them with their receipts.",
        discussion: """
            Unless --ack is given, settle each by its receipt (ack, nack, return, reject) before its lease runs out, \
            or it comes again. Exits with 124 when there was no message in time.
            """
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Option(help: ArgumentHelp("At most so many, 1–1024.", valueName: "n"))
    var count = 1

    @Option(help: ArgumentHelp("How long to wait for the first: 0s, 30s, 5m, forever.", valueName: "time"))
    var wait = TimeSpan(.zero)

    @Option(help: ArgumentHelp("How long they are yours; by default as the queue is set.", valueName: "time"))
    var lease: TimeSpan?

    @Flag(help: "Acknowledge what was printed: it is no more.")
    var ack = false

    @Flag(help: "Print the bodies alone, as they are, each followed by a line end.")
    var bodies = false

    @OptionGroup var connection: ConnectionOptions

    func validate() throws {
        guard (1...1024).contains(count) else { throw ValidationError("--count must be between 1 and 1024") }
        _ = try lease?.finite("--lease")
    }

    func run() async throws {
        let lease = try lease?.finite("--lease")
        try await connection.withQueue(name) { queue in
            let deadline = wait.duration.map { ContinuousClock.now + $0 }
            var messages: [QueueMessage] = []
            repeat {
                // A wait without end is one of many, since a node waits for at most an hour.
                let left = deadline.map { max(.zero, ContinuousClock.now.duration(to: $0)) } ?? .seconds(60)
                messages = try await queue.receive(count: count, wait: min(left, .seconds(60)), lease: lease)
            } while messages.isEmpty && deadline.map { ContinuousClock.now < $0 } ?? true
            show(messages)
            guard !messages.isEmpty else { throw ExitStatus.noMessage }
            if ack { try await queue.ack(messages.map(\.receipt)) }
        }
    }

    private func show(_ messages: [QueueMessage]) {
        if bodies {
            for message in messages { Console.raw(message.body + [UInt8(ascii: "\n")]) }
        } else if connection.output == .json {
            Console.out(JSONText.encode(messages.map { MessageReport($0) }))
        } else if messages.isEmpty {
            Console.note("no message")
        } else {
            let rows = messages.map { message in
                [
                    message.id, message.receipt, "\(message.attempt)", message.key ?? "-",
                    QueueTable.body(message.body),
                ]
            }
            Console.out(TextTable.render(["ID", "RECEIPT", "ATTEMPT", "KEY", "BODY"], rows))
        }
    }
}

/// A message for `--output json`, in the words of the HTTP API.
struct MessageReport: Encodable {
    var id: String
    var receipt: String?
    var state: String?
    var body: String?
    /// Instead of `body` when that is not UTF-8.
    var bodyBase64: String?
    var attempts: Int?
    var key: String?
    var tenant: String?
    var published: Int64
    var headers: [String: String]
    var priority: Int
    var leaseMilliseconds: Int64?
    var cause: String?
    var failures: Int?
    var returns: Int?
    var deliveries: Int?
    var due: Int64?
    var expires: Int64?
    var consumer: String?
    var deadLetter: DeadLetter?

    enum CodingKeys: String, CodingKey {
        case id, receipt, state, body, attempts, key, tenant, published, headers, priority, cause, failures, returns
        case deliveries, due, expires, consumer
        case bodyBase64 = "body_base64"
        case leaseMilliseconds = "lease_ms"
        case deadLetter = "dead_letter"
    }

    init(_ message: QueueMessage) {
        id = message.id
        receipt = message.receipt
        attempts = message.attempt
        key = message.key
        published = message.publishedMilliseconds
        headers = Self.headers(message.headers)
        priority = message.priority
        leaseMilliseconds =
            message.lease.components.seconds * 1000
            + message.lease.components.attoseconds / 1_000_000_000_000_000
        cause = message.redeliveryCause?.rawValue
        deadLetter = message.deadLetter
        (body, bodyBase64) = Self.body(message.body)
    }

    init(_ message: PeekedMessage) {
        id = message.id
        state = message.state.rawValue
        key = message.key
        tenant = message.tenant
        published = message.publishedMilliseconds
        headers = Self.headers(message.headers)
        priority = message.priority
        failures = message.failures
        returns = message.returns
        deliveries = message.deliveries
        due = message.dueMilliseconds
        expires = message.expiresMilliseconds
        consumer = message.consumer
        deadLetter = message.deadLetter
        if let bytes = message.body { (body, bodyBase64) = Self.body(bytes) }
    }

    private static func body(_ bytes: [UInt8]) -> (String?, String?) {
        if let text = String(validating: bytes, as: UTF8.self) { return (text, nil) }
        return (nil, Data(bytes).base64EncodedString())
    }

    private static func headers(_ headers: [QueueHeader]) -> [String: String] {
        headers.reduce(into: [:]) { $0[$1.name] = $1.text ?? Data($1.value).base64EncodedString() }
    }
}
