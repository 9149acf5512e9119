// SPDX-License-Identifier: Apache-2.0
import CacheCore

/// Which keys the commands of a connection in flight are about. A command sees what those before it did, so a read
/// waits for writes of its key, and a write for reads of its key; writes of one key may be in flight together, because
/// the port carries them out in their order.
struct CacheFlights {
    private struct Flight {
        var reads: Int32 = 0
        var writes: Int32 = 0
    }

    /// Keys in flight together.
    static let maxKeys = 1_024
    /// What the answer to a read is taken to weigh until it is there.
    private static let readBytes = 64 << 10

    /// By the key's hash: two keys that share one only wait for each other.
    private var keys: [UInt64: Flight] = [:]
    private var count = 0

    static func promisedBytes(_ request: CacheRequest) -> Int {
        switch request {
        case .read: readBytes
        case .readMany(let keys): readBytes * min(keys.count, CacheService.readWindow)
        default: 0
        }
    }

    func allows(_ request: CacheRequest) -> Bool {
        guard count > 0 else { return true }
        switch request {
        case .read(let key): return count < Self.maxKeys && keys[key.hash]?.writes ?? 0 == 0
        case .write(let key, _, _): return count < Self.maxKeys && keys[key.hash]?.reads ?? 0 == 0
        case .readMany(let keys):
            return count + keys.count <= Self.maxKeys && keys.allSatisfy { self.keys[$0.hash]?.writes ?? 0 == 0 }
        case .writeMany(let writes):
            return count + writes.count <= Self.maxKeys
                && writes.allSatisfy { keys[$0.key.hash]?.reads ?? 0 == 0 }
        default: return false
        }
    }

    mutating func begin(_ request: CacheRequest) { change(request, by: 1) }

    mutating func end(_ request: CacheRequest) { change(request, by: -1) }

    private mutating func change(_ request: CacheRequest, by amount: Int32) {
        switch request {
        case .read(let key): change(key, reads: amount, writes: 0)
        case .write(let key, _, _): change(key, reads: 0, writes: amount)
        case .readMany(let keys): for key in keys { change(key, reads: amount, writes: 0) }
        case .writeMany(let writes): for write in writes { change(write.key, reads: 0, writes: amount) }
        default: count += Int(amount)
        }
    }

    private mutating func change(_ key: CacheKey, reads: Int32, writes: Int32) {
        count += Int(reads + writes)
        let hash = key.hash
        var flight = keys[hash] ?? Flight()
        flight.reads += reads
        flight.writes += writes
        keys[hash] = flight.reads == 0 && flight.writes == 0 ? nil : flight
    }
}
