// SPDX-License-Identifier: Apache-2.0

/// A map kept sorted by key in one array: iteration order is the keys' order, the same on every replica.
/// Lookup is O(log n), insertion and removal O(n) moves; for maps of up to some thousands of entries.
package struct OrderedMap<Key: Comparable, Value> {
    private var entries: [(key: Key, value: Value)] = []

    package init() {}

    package var count: Int { entries.count }

    package var isEmpty: Bool { entries.isEmpty }

    package var keys: [Key] { entries.map { $0.key } }

    package var values: [Value] { entries.map { $0.value } }

    package var first: (key: Key, value: Value)? { entries.first }

    package var last: (key: Key, value: Value)? { entries.last }

    /// The position of the first entry whose key is not below `key`.
    package func position(of key: Key) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].key < key { low = middle + 1 } else { high = middle }
        }
        return low
    }

    package subscript(key: Key) -> Value? {
        get {
            let index = position(of: key)
            return index < entries.count && entries[index].key == key ? entries[index].value : nil
        }
        set {
            let index = position(of: key)
            let found = index < entries.count && entries[index].key == key
            switch (found, newValue) {
            case (true, .some(let value)): entries[index].value = value
            case (true, .none): entries.remove(at: index)
            case (false, .some(let value)): entries.insert((key, value), at: index)
            case (false, .none): break
            }
        }
    }

    /// Changes the value of `key` in place; nil when there is none.
    @discardableResult
    package mutating func modify<Result>(_ key: Key, _ body: (inout Value) -> Result) -> Result? {
        let index = position(of: key)
        guard index < entries.count, entries[index].key == key else { return nil }
        return body(&entries[index].value)
    }

    /// Changes every value in place, in key order.
    package mutating func modifyEach(_ body: (Key, inout Value) -> Void) {
        for index in entries.indices { body(entries[index].key, &entries[index].value) }
    }

    @discardableResult
    package mutating func removeValue(forKey key: Key) -> Value? {
        let index = position(of: key)
        guard index < entries.count, entries[index].key == key else { return nil }
        return entries.remove(at: index).value
    }

    /// Removes every entry whose key is below `key`.
    package mutating func removePrefix(below key: Key) {
        let end = position(of: key)
        if end > 0 { entries.removeSubrange(..<end) }
    }

    package mutating func removeAll() { entries.removeAll() }
}

extension OrderedMap: Sequence {
    package func makeIterator() -> IndexingIterator<[(key: Key, value: Value)]> { entries.makeIterator() }
}

extension OrderedMap: Sendable where Key: Sendable, Value: Sendable {}
