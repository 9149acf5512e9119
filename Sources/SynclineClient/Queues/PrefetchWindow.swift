// SPDX-License-Identifier: Apache-2.0

/// What a consumer has of its queue: a value without clock, connection or task.
struct PrefetchWindow: Sendable {
    private enum Place {
        case unread
        /// With the program.
        case handedOut
    }

    let prefetch: Int
    private var unread: [Delivery] = []
    private var head = 0
    private var places: [String: Place] = [:]
    /// Deliveries that ended while the program had them.
    private var lost: Set<String> = []
    private(set) var isEnded = false

    init(prefetch: Int) { self.prefetch = max(1, prefetch) }

    /// How many to ask the cluster for; 0 until it is worth a request.
    var wanted: Int {
        let room = prefetch - places.count
        return !isEnded && (room * 2 >= prefetch || head == unread.count) ? max(0, room) : 0
    }

    /// Everything here that is not settled.
    var held: [String] { Array(places.keys) }

    var unreadReceipts: [String] { unread[head...].map(\.receipt) }

    var isEmpty: Bool { places.isEmpty }

    /// Messages have come. Returns the receipts of those that came too late and are to be given back.
    mutating func received(_ deliveries: [Delivery]) -> [String] {
        guard !isEnded else { return deliveries.map(\.receipt) }
        for delivery in deliveries where places[delivery.receipt] == nil {
            places[delivery.receipt] = .unread
            unread.append(delivery)
        }
        return []
    }

    /// The next one for the program.
    mutating func next() -> Delivery? {
        guard head < unread.count else { return nil }
        let delivery = unread[head]
        head += 1
        if head == unread.count {
            unread = []
            head = 0
        }
        places[delivery.receipt] = .handedOut
        return delivery
    }

    mutating func settled(_ receipt: String) { places[receipt] = nil }

    /// The program has let it go. What was not settled stays in flight in the cluster until its lease runs out.
    mutating func dropped(_ receipt: String) {
        places[receipt] = nil
        lost.remove(receipt)
    }

    /// These deliveries have ended without having been settled.
    mutating func lose(_ receipts: [String]) {
        for receipt in receipts {
            if places.removeValue(forKey: receipt) == .handedOut { lost.insert(receipt) }
        }
        unread = unread[head...].filter { places[$0.receipt] != nil }
        head = 0
    }

    func isLost(_ receipt: String) -> Bool { lost.contains(receipt) }

    /// No more are read. Returns the receipts of those that nobody has read.
    mutating func end() -> [String] {
        isEnded = true
        let receipts = unreadReceipts
        unread = []
        head = 0
        for receipt in receipts { places[receipt] = nil }
        return receipts
    }

    /// Whose leases are to be extended.
    func extended(includingHandedOut: Bool) -> [String] {
        places.compactMap { includingHandedOut || $0.value == .unread ? $0.key : nil }
    }
}
