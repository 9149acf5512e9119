// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// The store as a plain dictionary that does everything the long way.
struct StoreModel {
    struct Entry: Equatable {
        var value: [UInt8]?
        var version: CacheVersion
        var expiresAt: UInt64
        var isDirty: Bool
    }

    var isWrittenBack: Bool
    var entries: [CacheKey: Entry] = [:]
    var floor: UInt64 = 0

    /// True: something was done.
    mutating func apply(_ effect: CacheEffect, to key: CacheKey, at version: CacheVersion) -> Bool {
        if case .none = effect { return false }
        if let held = entries[key], held.version >= version { return false }
        switch effect {
        case .none: break
        case .store(let value, let expiresAt):
            entries[key] = Entry(value: value, version: version, expiresAt: expiresAt, isDirty: isWrittenBack)
        case .remove:
            entries[key] = isWrittenBack ? Entry(value: nil, version: version, expiresAt: 0, isDirty: true) : nil
            floor = max(floor, version.index + (version.minor > 0 ? 1 : 0))
        }
        return true
    }

    mutating func markFlushed(_ key: CacheKey, _ version: CacheVersion) -> Bool {
        guard entries[key]?.version == version else { return false }
        entries[key]?.isDirty = false
        return true
    }

    mutating func release(_ key: CacheKey, _ version: CacheVersion) -> Bool {
        guard isWrittenBack, let held = entries[key], held.version == version, !held.isDirty else { return false }
        entries[key] = nil
        return true
    }

    var live: Int { entries.values.count { $0.value != nil } }

    var dirty: Int { entries.values.count { $0.isDirty } }

    /// Without what an entry costs beside its key and value.
    func payload(where counts: (Entry) -> Bool = { _ in true }) -> Int {
        entries.reduce(0) { counts($1.value) ? $0 + $1.key.bytes.count + ($1.value.value?.count ?? 0) : $0 }
    }

    /// Keys in the store's order.
    var ordered: [CacheKey] {
        entries.keys.sorted { $0.hash == $1.hash ? $0 < $1 : $0.hash < $1.hash }
    }
}

enum StoreKeys {
    /// Different keys of 16 bytes that all have one hash: the second word undoes what the first has made of the state.
    static func colliding(_ count: Int, group: UInt64 = 0) -> [CacheKey] {
        (0..<UInt64(count)).map { number in
            let state = StableHash.mix(0x9e37_79b9_7f4a_7c15 ^ number)
            var writer = ByteWriter()
            writer.u64(number)
            writer.u64(state ^ group)
            return CacheKey(writer.bytes)
        }
    }

    static func plain(_ count: Int) -> [CacheKey] { (0..<count).map { CacheKey("key:\($0)") } }
}

extension CacheStore {
    @discardableResult
    mutating func put(_ key: CacheKey, _ value: [UInt8], _ index: UInt64, expiresAt: UInt64 = 0) -> Bool {
        apply(.store(value, expiresAt: expiresAt), to: key, hash: key.hash, at: CacheVersion(index: index))
    }

    @discardableResult
    mutating func remove(_ key: CacheKey, _ index: UInt64) -> Bool {
        apply(.remove, to: key, hash: key.hash, at: CacheVersion(index: index))
    }

    var encoded: [UInt8] {
        var writer = ByteWriter()
        encode(into: &writer)
        return writer.bytes
    }

    static func decoded(_ bytes: [UInt8]) throws -> CacheStore {
        var reader = ByteReader(bytes)
        let store = try CacheStore(decoding: &reader)
        try reader.expectEnd()
        return store
    }

    var all: [CacheEntry] {
        var list: [CacheEntry] = []
        forEach { list.append($0) }
        return list
    }
}
