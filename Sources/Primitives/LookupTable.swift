// SPDX-License-Identifier: Apache-2.0

/// A hash table that cannot be iterated: Swift seeds hashing per process, so any walk over it would make replicas
/// diverge (DESIGN §3 rule 1). Order, where it matters, is kept beside it in arrays.
package struct LookupTable<Key: Hashable, Value> {
    private var storage: [Key: Value] = [:]

    package init() {}

    package init(minimumCapacity: Int) { storage.reserveCapacity(minimumCapacity) }

    package var count: Int { storage.count }

    package var isEmpty: Bool { storage.isEmpty }

    package subscript(key: Key) -> Value? {
        get { storage[key] }
        _modify { yield &storage[key] }
    }

    package subscript(key: Key, default value: @autoclosure () -> Value) -> Value {
        get { storage[key] ?? value() }
        _modify { yield &storage[key, default: value()] }
    }

    @discardableResult
    package mutating func removeValue(forKey key: Key) -> Value? { storage.removeValue(forKey: key) }

    package mutating func removeAll() { storage.removeAll() }
}

extension LookupTable: Sendable where Key: Sendable, Value: Sendable {}
