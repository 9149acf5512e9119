// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import SynclineClient

/// What the commands take that settle deliveries.
struct ReceiptArguments: ParsableArguments {
    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "Receipts, as printed by receive.")
    var receipts: [String]

    @OptionGroup var connection: ConnectionOptions

    func settle(_ done: String, _ body: (Queue) async throws -> Int) async throws {
        try await connection.withQueue(name) { queue in
            let count = try await body(queue)
            let gone = receipts.count - count
            connection.report(
                "\(count) \(done)" + (gone > 0 ? ", \(gone) no more there" : ""),
                ["settled": count, "gone": gone]
            )
        }
    }
}

struct QueueAck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ack",
        abstract: "Acknowledge messages: they are done with and no more."
    )

    @OptionGroup var target: ReceiptArguments

    func run() async throws { try await target.settle("acknowledged") { try await $0.ack(target.receipts) } }
}

struct QueueNack: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "nack",
        abstract: "Report messages as failed: that counts as an attempt, and they come again or become dead letters."
    )

    @Option(help: ArgumentHelp("They come again after: 500ms, 30s, 5m.", valueName: "time"))
    var delay = TimeSpan(.zero)

    @Option(help: "Kept with a dead letter.")
    var reason = ""

    @OptionGroup var target: ReceiptArguments

    func run() async throws {
        let delay = try delay.finite("--delay")
        try await target.settle("refused") { try await $0.nack(target.receipts, delay: delay, reason: reason) }
    }
}

struct QueueReturn: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "return",
        abstract: "Give messages back unread, which does not count as an attempt."
    )

    @Option(help: ArgumentHelp("They come again after: 500ms, 30s, 5m.", valueName: "time"))
    var delay = TimeSpan(.zero)

    @OptionGroup var target: ReceiptArguments

    func run() async throws {
        let delay = try delay.finite("--delay")
        try await target.settle("given back") { try await $0.giveBack(target.receipts, delay: delay) }
    }
}

struct QueueReject: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reject",
        abstract: "Make dead letters of messages at once."
    )

    @Option(help: "Kept with the dead letter.")
    var reason = ""

    @OptionGroup var target: ReceiptArguments

    func run() async throws {
        try await target.settle("rejected") { try await $0.reject(target.receipts, reason: reason) }
    }
}

struct QueueExtend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "extend",
        abstract: "Let the lease of a delivery run anew from now."
    )

    @Argument(help: "The queue's name.")
    var name: String

    @Argument(help: "The receipt.")
    var receipt: String

    @Option(help: ArgumentHelp("1ms to 12h.", valueName: "time"))
    var lease: TimeSpan

    @OptionGroup var connection: ConnectionOptions

    func run() async throws {
        let lease = try lease.finite("--lease")
        try await connection.withQueue(name) { queue in
            let isThere = try await queue.extend(receipt, lease: lease)
            connection.report(isThere ? "extended" : "the message is no more there", ["extended": isThere])
        }
    }
}
