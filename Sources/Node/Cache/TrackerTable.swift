// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway

/// Which connections of a loop keep copies of what (client-side caching): one more level of sharers.
struct TrackerTable {
    private var keys: [CacheKey: [any CacheTracker]] = [:]
    private var keysOf: [ObjectIdentifier: Set<CacheKey>] = [:]
    private var prefixes: [(prefix: [UInt8], tracker: any CacheTracker)] = []
    private var known: [ObjectIdentifier: any CacheTracker] = [:]

    var trackerCount: Int { known.count }

    mutating func track(_ key: CacheKey, _ tracker: any CacheTracker) {
        let id = ObjectIdentifier(tracker)
        known[id] = tracker
        guard keysOf[id, default: []].insert(key).inserted else { return }
        keys[key, default: []].append(tracker)
    }

    mutating func trackPrefix(_ prefix: [UInt8], _ tracker: any CacheTracker) {
        known[ObjectIdentifier(tracker)] = tracker
        prefixes.append((prefix, tracker))
    }

    mutating func untrack(_ tracker: any CacheTracker) {
        let id = ObjectIdentifier(tracker)
        known[id] = nil
        prefixes.removeAll { $0.tracker === tracker }
        for key in keysOf.removeValue(forKey: id) ?? [] {
            keys[key]?.removeAll { $0 === tracker }
            if keys[key]?.isEmpty == true { keys[key] = nil }
        }
    }

    /// Who has to be told of a change; they keep nothing of it from now on. The caller tells them, since they may come
    /// back to this table.
    /// - Parameter key: nil: everything is to go.
    mutating func take(_ key: CacheKey?) -> [any CacheTracker] {
        guard let key else {
            keys = [:]
            keysOf = [:]
            return Array(known.values)
        }
        let told = keys.removeValue(forKey: key) ?? []
        for tracker in told { keysOf[ObjectIdentifier(tracker)]?.remove(key) }
        let watching = prefixes.filter { key.bytes.starts(with: $0.prefix) }.map(\.tracker)
        return told + watching
    }
}
