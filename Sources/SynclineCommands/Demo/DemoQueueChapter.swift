// SPDX-License-Identifier: Apache-2.0
import Synchronization
import SynclineClient

/// The queue chapter of the tour: producers and consumers at work through all nodes, one of which is killed and comes
/// back, and the books at the end.
struct DemoQueueChapter {
    let cluster: DemoCluster
    let narrator: DemoNarrator

    static let queue = "demo-orders"
    /// Producers go on for so long, with the kill and the return of a node in between.
    static let running = Duration.seconds(5)
    static let killAfter = Duration.milliseconds(1_500)
    static let restartAfter = Duration.milliseconds(3_000)

    func run() async throws {
        narrator.title("A queue, with a node killed under it")
        let clients = cluster.nodes.map { client(of: $0) }
        defer { close(clients) }
        let queue = clients[0].queue(Self.queue)
        var options = QueueOptions()
        options.lanes = 3
        options.lease = .seconds(4)
        narrator.command("syncline queue declare \(Self.queue) --lanes 3 --lease 4s")
        try await queue.declare(options)
        narrator.say("A producer and a consumer at each node. Each message is on two disks before it is confirmed, and")
        narrator.say("gone only when its consumer has acknowledged it.")

        let books = DemoBooks()
        let sequences = clients.map { $0.queue(Self.queue).messages(Self.consuming) }
        let victim = cluster.nodes[cluster.nodes.count - 1]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for messages in sequences { group.addTask { try await consume(messages, books) } }
            try await withThrowingTaskGroup(of: Void.self) { work in
                let end = ContinuousClock.now + Self.running
                for (number, client) in clients.enumerated() {
                    work.addTask { try await produce(number, client.queue(Self.queue), until: end, books) }
                }
                work.addTask { try await disturb(victim) }
                try await work.waitForAll()
            }
            try await drain(books)
            for messages in sequences { messages.stop() }
            try await group.waitForAll()
        }
        for messages in sequences { await messages.close() }
        try report(books.ledger)
        try await queue.delete()
    }

    private static var consuming: ConsumeOptions {
        var options = ConsumeOptions()
        options.prefetch = 16
        options.ttl = .seconds(3)
        options.label = "demo"
        return options
    }

    /// Connects to this node first, and knows all.
    private func client(of node: DemoNode) -> SynclineClient {
        var configuration = SynclineClient.Configuration()
        configuration.beginsWithFirst = true
        let endpoints = Array(cluster.endpoints[node.index...] + cluster.endpoints[..<node.index])
        return SynclineClient(endpoints: endpoints, configuration: configuration)
    }

    private func produce(
        _ number: Int,
        _ queue: Queue,
        until end: ContinuousClock.Instant,
        _ books: DemoBooks
    ) async throws {
        var count = 0
        while ContinuousClock.now < end {
            let batch = (0..<8).map { "producer-\(number) message-\(count + $0)" }
            count += batch.count
            let results = await queue.publish(contentsOf: batch.map { OutgoingMessage($0, key: $0) })
            for (text, result) in zip(batch, results) {
                switch result {
                case .success: books.note { $0.confirmed(text) }
                case .failure(let error):
                    guard error.outcome == .unknown else { throw error }
                    books.note { $0.uncertain(text) }
                }
            }
            // A few hundred messages a second are enough to be seen, and leave the machine to the nodes.
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func consume(_ messages: QueueMessages, _ books: DemoBooks) async throws {
        for try await message in messages {
            let text = message.text ?? message.id
            books.note { $0.delivered(text, cause: message.redeliveryCause?.rawValue) }
            do throws(SynclineError) {
                try await message.ack()
                books.note { $0.acked(text) }
            } catch {
                // It comes again: to this consumer or another, with the reason.
                guard error.code == .stale || error.outcome == .unknown || error.code == .timeout else { throw error }
            }
        }
    }

    private func disturb(_ victim: DemoNode) async throws {
        try await Task.sleep(for: Self.killAfter)
        narrator.command("kill -9 \(cluster.processID(of: victim) ?? 0)        # \(victim.name)")
        await cluster.kill(victim)
        try await Task.sleep(for: Self.restartAfter - Self.killAfter)
        try cluster.start(victim)
        try await cluster.waitUntilReady(victim)
        narrator.result("\(victim.name) is back")
    }

    /// Waits until what was confirmed has been acknowledged; deliveries that the kill cut off return with their leases.
    private func drain(_ books: DemoBooks) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline, !books.ledger.isDrained {
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func report(_ books: DemoLedger) throws {
        narrator.result("confirmed   \(narrator.strong("\(books.confirmed)")) messages")
        narrator.result(
            "delivered   \(narrator.strong("\(books.received)")) messages in \(books.deliveries) deliveries"
        )
        let causes = books.causes.isEmpty ? "" : " (why: \(books.causeText))"
        narrator.result("duplicates  \(narrator.strong("\(books.duplicates)"))\(causes)")
        narrator.result("lost        \(narrator.strong("\(books.lost)"))")
        if books.uncertain > 0 {
            narrator.say("\(books.uncertain) publishes ended with an unknown outcome, and are counted apart.")
        }
        guard books.confirmed > 0 else { throw DemoFailure("no publish was confirmed") }
        guard books.lost == 0 else { throw DemoFailure("\(books.lost) confirmed messages were never delivered") }
        guard books.phantoms == 0 else { throw DemoFailure("\(books.phantoms) messages came that nobody published") }
        guard books.unexplained == 0 else {
            throw DemoFailure("\(books.unexplained) deliveries came again without a reason")
        }
    }

    private func close(_ clients: [SynclineClient]) {
        Task { for client in clients { await client.close() } }
    }
}

/// The ledger, for many tasks.
private final class DemoBooks: Sendable {
    private let state = Mutex(DemoLedger())

    var ledger: DemoLedger { state.withLock { $0 } }

    func note(_ body: (inout DemoLedger) -> Void) { state.withLock { body(&$0) } }
}
