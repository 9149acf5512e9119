// SPDX-License-Identifier: Apache-2.0
public import ArgumentParser
public import SynclineClient

struct QueueTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queue",
        abstract: "Publish, receive and settle messages; look after queues.",
        subcommands: [
            QueuePublish.self, QueueReceive.self, QueueConsume.self, QueueAck.self, QueueNack.self, QueueReturn.self,
            QueueReject.self, QueueExtend.self, QueuePeek.self, QueueGet.self, QueueStatistics.self, QueueList.self,
            QueueDeclare.self, QueueUpdate.self, QueuePurge.self, QueueRedrive.self, QueuePause.self, QueueResume.self,
            QueueDelete.self, QueueCancel.self,
        ]
    )
}

extension ConnectionOptions {
    /// Runs `body` with a queue for one command, and turns its failures into a message and a status.
    func withQueue(_ name: String, _ body: (Queue) async throws -> Void) async throws {
        try await withClient { try await body($0.queue(name)) }
    }

    func withClient(_ body: (SynclineClient) async throws -> Void) async throws {
        let client = try client()
        do {
            try await Failure.reporting { try await body(client) }
        } catch {
            await client.close()
            throw error
        }
        await client.close()
    }

    /// One line for people, or an object.
    func report(_ text: String, _ object: some Encodable) {
        Console.out(output == .json ? JSONText.encode(object) : text)
    }
}

extension TimeSpan {
    /// For what cannot last for ever.
    func finite(_ option: String) throws -> Duration {
        guard let duration else { throw ValidationError("\(option) cannot be forever") }
        return duration
    }
}

extension MessageState: ExpressibleByArgument {
    public init?(argument: String) {
        let plain = argument.lowercased().filter { $0 != "-" && $0 != "_" }
        guard let state = Self.allCases.first(where: { $0.rawValue.filter { $0 != "_" } == plain }) else { return nil }
        self = state
    }
}

extension QueueSide: ExpressibleByArgument {}

extension QueueOptions.Overflow: ExpressibleByArgument {
    public init?(argument: String) {
        switch argument {
        case "reject": self = .reject
        case "drop-oldest", "drop_oldest": self = .dropOldest
        default: return nil
        }
    }
}

/// `name=value` on the command line.
struct HeaderArgument: ExpressibleByArgument, Equatable, Sendable {
    let name: String
    let value: String

    init?(argument: String) {
        guard let equals = argument.firstIndex(of: "="), equals != argument.startIndex else { return nil }
        name = String(argument[..<equals])
        value = String(argument[argument.index(after: equals)...])
    }

    var header: QueueHeader { QueueHeader(name: name, value: value) }
}
