// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The application ids that a queue has seen within its window, and the messages they became. Ids are looked up in a
/// table and forgotten in the order they came.
struct DedupWindow: Sendable {
    struct Entry: Sendable, Equatable {
        var name: Name
        var message: MessageID
        var expires: UInt64
    }

    private var table = LookupTable<Name, Entry>()
    private var order: [Entry] = []
    private var head = 0

    var count: Int { table.count }

    func find(_ name: Name, at stamp: UInt64) -> MessageID? {
        guard let entry = table[name], entry.expires > stamp else { return nil }
        return entry.message
    }

    mutating func insert(_ entry: Entry) {
        table[entry.name] = entry
        order.append(entry)
    }

    /// Forgets what has run out, at most `limit` ids. Entries that a newer one replaced do not count: a restored
    /// snapshot has none of them, and must forget as many.
    mutating func prune(at stamp: UInt64, limit: Int) {
        var left = limit
        while left > 0, head < order.count, order[head].expires <= stamp {
            if table[order[head].name] == order[head] {
                table.removeValue(forKey: order[head].name)
                left -= 1
            }
            head += 1
        }
        if head >= 64, head * 2 > order.count {
            order.removeFirst(head)
            head = 0
        }
    }

    /// What is remembered, oldest first. Entries that a newer one of the same name has replaced are left out.
    var entries: [Entry] { order[head...].filter { table[$0.name] == $0 } }
}

/// The latest publishes of each producer by sequence number (the scheme is RIFL's, SOSP'15).
struct ProducerTable: Sendable {
    struct Result: Sendable, Equatable {
        var sequence: UInt64
        var first: MessageID
        var count: Int
        /// The ids, when they do not simply follow each other from `first`.
        var ids: [MessageID]

        var published: [Published] {
            guard ids.isEmpty else { return ids.map { Published(id: $0, isDuplicate: true) } }
            return (0..<count).map {
                Published(id: MessageID(entry: first.entry, ordinal: $0), isDuplicate: true)
            }
        }
    }

    struct Producer: Sendable, Equatable {
        /// In the order they became known.
        var results: [Result] = []
        /// The highest number whose result was dropped.
        var floor: UInt64 = 0
        var lastUsed: UInt64
    }

    enum Lookup {
        case unknown
        case stale
        case known(Result)
    }

    private(set) var producers = OrderedMap<Name, Producer>()
    /// No producer can be forgotten before this stamp.
    private(set) var sweepAfter: UInt64 = 0

    init() {}

    init(producers: OrderedMap<Name, Producer>, sweepAfter: UInt64) {
        self.producers = producers
        self.sweepAfter = sweepAfter
    }

    func find(_ key: ProducerSequence) -> Lookup {
        guard let producer = producers[key.producer] else { return .unknown }
        for result in producer.results where result.sequence == key.sequence { return .known(result) }
        return key.sequence <= producer.floor ? .stale : .unknown
    }

    /// Whether the producer is known or there is room for it, after forgetting those idle for the window.
    mutating func makeRoom(for producer: Name, at stamp: UInt64, window: UInt64, limit: Int) -> Bool {
        if producers.count < limit || producers[producer] != nil { return true }
        guard stamp >= sweepAfter else { return false }
        var kept = OrderedMap<Name, Producer>()
        var next = UInt64.max
        for (name, value) in producers where value.lastUsed + window > stamp {
            kept[name] = value
            next = min(next, value.lastUsed + window)
        }
        producers = kept
        sweepAfter = kept.isEmpty ? stamp : next
        return producers.count < limit
    }

    mutating func remember(_ result: Result, of producer: Name, at stamp: UInt64) {
        if producers[producer] == nil { producers[producer] = Producer(lastUsed: stamp) }
        producers.modify(producer) { entry in
            entry.lastUsed = stamp
            if entry.results.count >= QueueLimits.rememberedResults {
                entry.floor = max(entry.floor, entry.results.removeFirst().sequence)
            }
            entry.results.append(result)
        }
    }
}
