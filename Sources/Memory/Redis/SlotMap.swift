// SPDX-License-Identifier: Apache-2.0
import RESP

/// Which server of a Redis Cluster has which slots.
struct SlotMap: Equatable {
    private(set) var hosts: [RedisAddress.Host] = []
    /// Whom to ask when none of the others answers: one of them will have been promoted.
    private(set) var replicas: [RedisAddress.Host] = []
    /// Places in `hosts`; `nobody` for slots that none serves.
    private var owners = [UInt16](repeating: nobody, count: HashSlot.count)
    private static let nobody = UInt16.max
    /// Every slot is served.
    private(set) var isComplete = false

    init() {}

    /// - Parameters:
    ///   - reply: of CLUSTER SLOTS.
    ///   - asked: stands for a server that does not know its own name.
    init?(_ reply: RESPValue, asked: RedisAddress.Host) {
        guard let ranges = reply.elements, !ranges.isEmpty else { return nil }
        for range in ranges {
            guard let parts = range.elements, parts.count >= 3,
                let first = parts[0].int, let last = parts[1].int, first >= 0, first <= last, last < HashSlot.count,
                let owner = Self.host(parts[2], asked: asked)
            else { return nil }
            for replica in parts[3...].compactMap({ Self.host($0, asked: asked) }) where !replicas.contains(replica) {
                replicas.append(replica)
            }
            let place = place(of: owner)
            for slot in first...last { owners[Int(slot)] = place }
        }
        isComplete = !owners.contains(Self.nobody)
    }

    private static func host(_ node: RESPValue, asked: RedisAddress.Host) -> RedisAddress.Host? {
        guard let parts = node.elements, parts.count >= 2, let port = parts[1].int, (1...65_535).contains(port) else {
            return nil
        }
        let name = parts[0].string ?? ""
        return RedisAddress.Host(name.isEmpty || name == "?" ? asked.name : name, Int(port))
    }

    subscript(slot: UInt16) -> RedisAddress.Host? {
        let place = owners[Int(slot)]
        return place == Self.nobody ? nil : hosts[Int(place)]
    }

    mutating func move(_ slot: UInt16, to host: RedisAddress.Host) {
        owners[Int(slot)] = place(of: host)
        if !isComplete { isComplete = !owners.contains(Self.nobody) }
    }

    private mutating func place(of host: RedisAddress.Host) -> UInt16 {
        if let known = hosts.firstIndex(of: host) { return UInt16(known) }
        // More servers than slots: not a map that a cluster can have.
        guard hosts.count < HashSlot.count else { return Self.nobody }
        hosts.append(host)
        return UInt16(hosts.count - 1)
    }
}

/// What Redis Cluster answers when a command came to the wrong place.
enum Redirection: Equatable {
    case moved(slot: UInt16, RedisAddress.Host)
    /// For this command only, announced by ASKING.
    case ask(RedisAddress.Host)
    case tryAgain

    init?(reply: String, asked: RedisAddress.Host) {
        if reply.hasPrefix("TRYAGAIN") || reply.hasPrefix("CLUSTERDOWN") {
            self = .tryAgain
            return
        }
        let words = reply.split(separator: " ")
        guard words.count == 3, words[0] == "MOVED" || words[0] == "ASK",
            let slot = UInt16(words[1]), slot < HashSlot.count,
            let colon = words[2].lastIndex(of: ":"),
            let port = Int(words[2][words[2].index(after: colon)...]), (1...65_535).contains(port)
        else { return nil }
        let name = words[2][..<colon]
        let host = RedisAddress.Host(name.isEmpty || name == "?" ? asked.name : String(name), port)
        self = words[0] == "MOVED" ? .moved(slot: slot, host) : .ask(host)
    }
}
