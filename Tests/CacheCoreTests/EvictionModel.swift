// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// What a request asks for: the cost stands for the size of key and value.
struct TraceRequest {
    var key: UInt32
    var valueCount = 0
}

/// A cache with one bound, run by a trace: a miss brings the line in.
protocol TraceCache {
    /// True: a hit.
    mutating func request(_ request: TraceRequest, cost: Int) -> Bool
    var bytes: Int { get }
}

/// Least recently used, by the definition: of each key the time of its last use; the least goes.
struct ReferenceLRU: TraceCache {
    let limit: Int
    private(set) var bytes = 0
    private var lines: [UInt32: (cost: Int, used: Int)] = [:]
    /// Every use ever, in order; only a key's last one counts.
    private var uses: [(key: UInt32, time: Int)] = []
    private var first = 0
    /// Keys that left, in order.
    private(set) var victims: [UInt32] = []

    init(limit: Int) { self.limit = limit }

    mutating func request(_ request: TraceRequest, cost: Int) -> Bool {
        defer { uses.append((request.key, uses.count)) }
        if let line = lines[request.key] {
            lines[request.key] = (line.cost, uses.count)
            return true
        }
        while bytes + cost > limit, first < uses.count {
            let use = uses[first]
            first += 1
            guard let line = lines[use.key], line.used == use.time else { continue }
            lines[use.key] = nil
            bytes -= line.cost
            victims.append(use.key)
        }
        lines[request.key] = (cost, uses.count)
        bytes += cost
        return false
    }
}

/// Algorithm 1 of "FIFO queues are all you need for cache eviction" (SOSP 2023), with queues that are plain arrays.
struct ReferenceS3FIFO: TraceCache {
    private struct Queue {
        var keys: [UInt32] = []
        var first = 0
        var isEmpty: Bool { first == keys.count }
        mutating func pop() -> UInt32 {
            first += 1
            return keys[first - 1]
        }
    }
    private struct Line {
        var cost: Int
        var uses = 0
    }

    let limit: Int
    private var lines: [UInt32: Line] = [:]
    private var small = Queue()
    private var main = Queue()
    private var smallBytes = 0
    private var mainBytes = 0
    /// Numbers of the small queue's victims that are remembered.
    private var ghosts: [UInt32: Int] = [:]
    private var ghostCount = 0
    private(set) var victims: [UInt32] = []

    init(limit: Int) { self.limit = limit }

    var bytes: Int { smallBytes + mainBytes }

    mutating func request(_ request: TraceRequest, cost: Int) -> Bool {
        if let uses = lines[request.key]?.uses {
            lines[request.key]?.uses = min(uses + 1, 3)
            return true
        }
        while bytes + cost > limit, bytes > 0 { evict() }
        defer { lines[request.key] = Line(cost: cost) }
        // The ghost queue has as many entries as the main queue has lines when the cache is full.
        let remembered = lines.count * 9 / 10
        let number = ghosts.removeValue(forKey: request.key)
        if let number, ghostCount - number < remembered {
            main.keys.append(request.key)
            mainBytes += cost
        } else {
            small.keys.append(request.key)
            smallBytes += cost
        }
        return false
    }

    private mutating func evict() {
        if smallBytes >= limit / 10 && !small.isEmpty || main.isEmpty { evictSmall() } else { evictMain() }
    }

    private mutating func evictSmall() {
        while !small.isEmpty {
            let key = small.pop()
            guard let line = lines[key] else { continue }
            smallBytes -= line.cost
            if line.uses > 1 {
                lines[key]?.uses = 0
                main.keys.append(key)
                mainBytes += line.cost
            } else {
                lines[key] = nil
                ghostCount += 1
                ghosts[key] = ghostCount
                return victims.append(key)
            }
        }
    }

    private mutating func evictMain() {
        while !main.isEmpty {
            let key = main.pop()
            guard let line = lines[key] else { continue }
            if line.uses > 0 {
                lines[key]?.uses = line.uses - 1
                main.keys.append(key)
            } else {
                lines[key] = nil
                mainBytes -= line.cost
                return victims.append(key)
            }
        }
    }
}

/// The real tables and planner, one thread doing what a node's shell does.
final class LineCache: TraceCache {
    final class Shard {
        var table: LineTable
        init(_ policy: EvictionPolicy) { table = LineTable(policy: policy) }
    }

    let shards: [Shard]
    var planner: EvictionPlanner
    private(set) var victims: [UInt32] = []
    private(set) var orders = 0
    private(set) var greatest = 0
    var tick: UInt64 = 0
    private let payload = [UInt8](repeating: 0x55, count: 4_096)

    init(_ policy: EvictionPolicy, tables: Int, limit: Int) {
        shards = (0..<tables).map { _ in Shard(policy) }
        planner = EvictionPlanner(policy: policy, tables: tables, limitBytes: limit)
    }

    var bytes: Int { shards.reduce(0) { $0 + $1.table.bytes } }
    var count: Int { shards.reduce(0) { $0 + $1.table.count } }

    static let fields = LineFields(state: .shared, version: .zero)

    static func key(_ number: UInt32) -> CacheKey {
        CacheKey((0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) })
    }

    static func number(_ key: UnsafeRawBufferPointer) -> UInt32 { key.loadUnaligned(as: UInt32.self) }

    func place(_ hash: UInt64) -> Int { Int(hash % UInt64(shards.count)) }

    func request(_ request: TraceRequest, cost: Int) -> Bool {
        tick += 1
        return withUnsafeBytes(of: request.key.littleEndian) { key in
            let hash = CacheKey.hash(of: key)
            let place = place(hash)
            if let slot = shards[place].table.find(hash, key) {
                shards[place].table.touch(slot, tick: tick)
                return true
            }
            _ = makeRoom(cost)
            tick += 1
            shards[place].table.ghostWindow = planner.ghostWindow
            payload.withUnsafeBytes { payload in
                let value = UnsafeRawBufferPointer(rebasing: payload[..<request.valueCount])
                _ = shards[place].table.insert(hash, key: key, value: value, Self.fields, tick: tick)
            }
            planner.update(place, shards[place].table.summary)
            greatest = max(greatest, planner.bytes)
            return false
        }
    }

    /// False: what is left may not be dropped.
    func makeRoom(_ room: Int) -> Bool {
        while true {
            tick += 1
            switch planner.next(room: room, tick: tick) {
            case .done: return true
            case .blocked: return false
            case .take(let order):
                orders += 1
                let shard = shards[order.table]
                let victim = shard.table.victim(order)
                if let victim {
                    victims.append(Self.number(shard.table.key(victim)))
                    shard.table.evict(victim)
                }
                planner.completed(order, evicted: victim != nil, shard.table.summary)
            }
        }
    }
}

enum Traces {
    /// Ranks with a frequency of one over the rank (Zipf, exponent 1), under scattered keys.
    static func zipf(_ count: Int, keys: Int, seed: UInt64) -> [UInt32] {
        var sums: [Double] = []
        var sum = 0.0
        for rank in 1...keys {
            sum += 1 / Double(rank)
            sums.append(sum)
        }
        var random = SeededRandom(seed: seed)
        return (0..<count).map { _ in
            let wanted = Double(random.below(1 << 52)) / Double(1 << 52 as UInt64) * sum
            var low = 0
            var high = keys - 1
            while low < high {
                let middle = (low + high) / 2
                if sums[middle] < wanted { low = middle + 1 } else { high = middle }
            }
            return UInt32(truncatingIfNeeded: StableHash.mix(UInt64(low)))
        }
    }

    static func loop(_ count: Int, keys: Int) -> [UInt32] { (0..<count).map { UInt32($0 % keys) } }

    /// A Zipf load through which scans go that never return.
    static func scans(_ count: Int, keys: Int, seed: UInt64) -> [UInt32] {
        var next: UInt32 = 1 << 31
        return zipf(count, keys: keys, seed: seed).enumerated().map { position, key in
            guard position % 5_000 < 1_500 else { return key }
            next += 1
            return next
        }
    }

    /// Where the popular keys are others after each part.
    static func drift(_ count: Int, keys: Int, seed: UInt64) -> [UInt32] {
        zipf(count, keys: keys, seed: seed).enumerated().map { $1 &+ UInt32($0 / 20_000) }
    }
}
