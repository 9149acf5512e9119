// SPDX-License-Identifier: Apache-2.0

/// How a sequence of messages is received.
public struct ConsumeOptions: Sendable, Hashable {
    /// Messages that may be here unsettled, read or not: 1–1000. More is faster, fewer is fairer to other consumers.
    public var prefetch = 32
    /// How long each delivery is leased; 1 ms to 12 hours. nil takes the queue's.
    public var lease: Duration?
    /// Extends the leases of messages that are being worked on, and not only of those that wait here to be read.
    /// Without it a message comes again when work on it takes longer than its lease.
    public var extendsLeases = true
    /// How long the cluster keeps the consumer without hearing from it, and so how soon its messages go to others when
    /// this process dies; 1 second to 1 hour.
    public var ttl = Duration.seconds(10)
    /// For people who look at the queue; at most 256 bytes.
    public var label = ""

    public init() {}
}

extension Queue {
    /// The messages of the queue as they come, each on a lease and to be settled by whoever gets it.
    ///
    /// The sequence is a consumer of its own: its deliveries return at once when it ends or its process dies. It goes
    /// on when a node fails, keeping what it holds; after the first contact it waits for the cluster as long as need
    /// be. It throws ``SynclineError`` when the queue is deleted, does not exist, or no node can be reached at the
    /// start.
    ///
    /// It ends when its task is cancelled, when the loop is left, or with ``QueueMessages/stop()``. Messages that have
    /// not been read are given back then; those being worked on can still be settled. Several tasks may iterate over
    /// one sequence and share its messages.
    public func messages(_ options: ConsumeOptions = ConsumeOptions()) -> QueueMessages {
        QueueMessages(QueueConsumer(queue: self, options: options))
    }

    /// As ``messages(_:)``, with the most used options.
    public func messages(prefetch: Int, lease: Duration? = nil, extendsLeases: Bool = true) -> QueueMessages {
        var options = ConsumeOptions()
        options.prefetch = prefetch
        options.lease = lease
        options.extendsLeases = extendsLeases
        return messages(options)
    }
}

/// The messages of a queue; see ``Queue/messages(_:)``.
public struct QueueMessages: AsyncSequence, Sendable {
    public typealias Element = QueueMessage

    /// Ends the consumer when the sequence and all its iterators are gone.
    final class Lifetime: Sendable {
        let consumer: QueueConsumer

        init(_ consumer: QueueConsumer) { self.consumer = consumer }

        deinit { consumer.stop() }
    }

    public struct AsyncIterator: AsyncIteratorProtocol {
        let lifetime: Lifetime

        /// The next message; nil when the sequence has ended.
        public mutating func next() async throws -> QueueMessage? { try await lifetime.consumer.next() }
    }

    private let lifetime: Lifetime

    init(_ consumer: QueueConsumer) { lifetime = Lifetime(consumer) }

    /// The id that the cluster knows this consumer by.
    public var consumer: String { lifetime.consumer.id }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(lifetime: lifetime) }

    /// Ends the sequence: no more messages are read, and those not yet read are given back. Iterators return nil.
    public func stop() { lifetime.consumer.stop() }

    /// As ``stop()``, and returns when every message is settled or let go and the consumer is closed.
    public func close() async {
        lifetime.consumer.stop()
        await lifetime.consumer.ended()
    }
}
