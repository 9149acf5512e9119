// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The cache's part of a shard's state machine: the memory, or with Redis as memory what Redis may lack, and in the
/// system shard who may hold lines.
package struct CacheState: Sendable {
    package private(set) var store: CacheStore
    package private(set) var view = CacheView()
    /// The highest fencing token that each guarded key has been written with.
    private var fences = OrderedMap<CacheKey, UInt64>()
    /// Guarded keys that are remembered; above it the one with the lowest token is forgotten.
    package static let maxFences = 65_536

    /// The memory as it was last met.
    package private(set) var memory = MemoryMark()
    /// How often it was found changed.
    package private(set) var memoryChanges: UInt64 = 0
    /// The version of the latest removal of everything: what the memory has of before counts as absent.
    package private(set) var clearedThrough: UInt64 = 0
    /// The memory may still have values of before that.
    package private(set) var isMemoryToClear = false

    package init(isWrittenBack: Bool) { store = CacheStore(isWrittenBack: isWrittenBack) }

    package var digest: UInt64 {
        var hash = StableHash.combine(store.digest, view.version)
        for member in view.members {
            hash = StableHash.combine(StableHash.combine(hash, member.node.rawValue), member.incarnation)
        }
        if store.isWrittenBack {
            hash = StableHash.combine(hash, StableHash.combine(clearedThrough, isMemoryToClear ? 1 : 0))
            hash = StableHash.combine(hash, StableHash.combine(memoryChanges, memory.hash))
        }
        return StableHash.combine(hash, UInt64(fences.count))
    }

    // MARK: Reading

    /// What stands under the key; nil when only the memory (Redis) knows.
    package func current(_ key: CacheKey) -> CacheCurrent? {
        store.get(key, hash: key.hash) ?? (store.isWrittenBack ? nil : store.absent)
    }

    /// Whether the state itself has an entry of the key.
    package func holds(_ key: CacheKey) -> Bool { store.get(key, hash: key.hash) != nil }

    /// What the memory has under a key that the state does not hold.
    /// - Parameter found: nil: nothing.
    package func current(found: LineData?, stamp: UInt64) -> CacheCurrent {
        guard let found, let value = found.value, found.remaining != 0,
            clearedThrough == 0 || found.version.index > clearedThrough
        else { return store.absent }
        return CacheCurrent(
            value: value,
            version: found.version,
            expiresAt: found.remaining.map { stamp &+ $0 } ?? 0
        )
    }

    /// Stands for a value that nobody needs to know.
    package var unknown: CacheCurrent { store.absent }

    package func forEachExpiring(_ body: (CacheKey, UInt64) -> Void) {
        store.forEach { entry in
            if entry.expiresAt != 0 { body(entry.key, entry.expiresAt) }
        }
    }

    // MARK: Changing

    package mutating func apply(
        _ command: CacheCommand,
        index: LogIndex,
        stamp: UInt64,
        into effects: inout CacheEffects
    ) -> CacheResponse {
        let version = CacheVersion(index: index.rawValue)
        switch command {
        case .write(let key, let earlier, let operation, let data, let token):
            return write(key, earlier, operation, data, token, version, stamp, &effects)
        case .persist(let entries):
            for entry in entries { persist(entry.data, entry.key, stamp, &effects) }
        case .expire(let entries):
            for entry in entries {
                let hash = entry.key.hash
                guard let current = store.get(entry.key, hash: hash), current.version == entry.version else { continue }
                if current.isExpired(stamp) { change(.remove, entry.key, version, &effects) }
            }
        case .removeAll:
            store.removeAll(at: version)
            if store.isWrittenBack {
                clearedThrough = index.rawValue
                isMemoryToClear = true
            }
        case .flushed(let entries):
            for entry in entries { store.markFlushed(entry.key, hash: entry.key.hash, version: entry.version) }
        case .released(let entries):
            for entry in entries { store.release(entry.key, hash: entry.key.hash, version: entry.version) }
        case .memoryChanged(let mark):
            memory = mark
            memoryChanges += 1
            store.markAllDirty()
        case .memoryFenced(let mark): memory = mark
        case .memoryCleared(let cleared):
            if cleared.index == clearedThrough { isMemoryToClear = false }
        case .join(let member):
            if view.join(member) { effects.view = view }
        case .remove(let member):
            if view.remove(member) { effects.view = view }
        }
        return .done
    }

    private mutating func persist(
        _ data: LineData,
        _ key: CacheKey,
        _ stamp: UInt64,
        _ effects: inout CacheEffects
    ) {
        let held = current(key)
        if let current = held, data.version <= current.version { return }
        if held == nil, isCleared(data.version) { return }
        store(data, key, stamp, &effects)
    }

    private mutating func write(
        _ key: CacheKey,
        _ earlier: [CacheOperation],
        _ operation: CacheOperation,
        _ data: LineData?,
        _ token: UInt64,
        _ version: CacheVersion,
        _ stamp: UInt64,
        _ effects: inout CacheEffects
    ) -> CacheResponse {
        let held = current(key)
        var current = held ?? store.absent
        // Of a key that is not held, the home's word is what the memory has: the version of an absent key says nothing
        // about this one.
        var newer = data.flatMap { held == nil || $0.version > current.version ? $0 : nil }
        if held == nil, let data, isCleared(data.version) { newer = nil }
        if let data = newer {
            current = CacheCurrent(
                value: data.value,
                version: data.version,
                expiresAt: data.remaining.map { stamp &+ $0 } ?? 0
            )
        }
        guard raiseFence(key, token) else {
            // The owner's data reaches the log all the same, as below: its line may be about to be somebody else's.
            if let data = newer { store(data, key, stamp, &effects) }
            return .written(.refused(.fenced), current.version)
        }
        var run = OperationRun(current, version, stamp)
        let outcomes = earlier.map { run.carryOut($0) }
        let last = run.carryOut(operation)
        if case .none = run.effect {
            if let data = newer { store(data, key, stamp, &effects) }
        } else {
            self.change(run.effect, key, last.version, &effects)
        }
        return .written(last.answer, last.version, earlier: outcomes)
    }

    /// Everything was removed (FLUSHALL) after it was written; the store itself remembers that only of what it holds.
    private func isCleared(_ version: CacheVersion) -> Bool {
        store.isWrittenBack && clearedThrough > 0 && version.index <= clearedThrough
    }

    private mutating func raiseFence(_ key: CacheKey, _ token: UInt64) -> Bool {
        guard token != 0 else { return true }
        if let highest = fences[key], token < highest { return false }
        fences[key] = token
        if fences.count > Self.maxFences, let lowest = fences.min(by: { $0.value < $1.value }) {
            fences[lowest.key] = nil
        }
        return true
    }

    /// What an owner wrote without the log, if it is newer.
    private mutating func store(_ data: LineData, _ key: CacheKey, _ stamp: UInt64, _ effects: inout CacheEffects) {
        let end = data.remaining.map { stamp &+ max(1, $0) } ?? 0
        change(data.value.map { .store($0, expiresAt: end) } ?? .remove, key, data.version, &effects)
    }

    private mutating func change(
        _ effect: CacheEffect,
        _ key: CacheKey,
        _ version: CacheVersion,
        _ effects: inout CacheEffects
    ) {
        guard store.apply(effect, to: key, hash: key.hash, at: version) else { return }
        if case .store(_, let expiresAt) = effect, expiresAt != 0 { effects.expiries.append((key, expiresAt)) }
        if store.isWrittenBack { effects.dirty.append(key) }
    }
}

/// What applying one command brought about.
package struct CacheEffects: Sendable {
    /// Answers to commands, with the log index that carried them.
    package var responses: [(index: UInt64, CacheResponse)] = []
    /// Keys that got an expiry, in cluster milliseconds.
    package var expiries: [(key: CacheKey, expiresAt: UInt64)] = []
    /// Keys that the memory has to be told of.
    package var dirty: [CacheKey] = []
    /// The membership changed.
    package var view: CacheView?

    package init() {}

    package var isEmpty: Bool { responses.isEmpty && expiries.isEmpty && dirty.isEmpty && view == nil }

    package mutating func removeAll() {
        responses.removeAll(keepingCapacity: true)
        expiries.removeAll(keepingCapacity: true)
        dirty.removeAll(keepingCapacity: true)
        view = nil
    }
}

extension CacheState {
    package func encode(into writer: inout ByteWriter) {
        store.encode(into: &writer)
        view.encode(into: &writer)
        writer.varint(UInt64(fences.count))
        for (key, token) in fences {
            writer.blob(key.bytes)
            writer.varint(token)
        }
        guard store.isWrittenBack else { return }
        memory.encode(into: &writer)
        writer.varint(memoryChanges)
        writer.varint(clearedThrough)
        writer.bool(isMemoryToClear)
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        store = try CacheStore(decoding: &reader)
        view = try CacheView(decoding: &reader)
        for _ in 0..<(try reader.count(limit: Self.maxFences, "fences")) {
            let key = try reader.cacheKey()
            if let last = fences.last, last.key >= key { throw .invalidValue(what: "order of fences") }
            fences[key] = try reader.varint()
        }
        guard store.isWrittenBack else { return }
        memory = try MemoryMark(decoding: &reader)
        memoryChanges = try reader.varint()
        clearedThrough = try reader.varint()
        isMemoryToClear = try reader.bool()
    }
}
