// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

/// What a table of lines must be like from outside, in a dictionary and arrays.
struct LineModel {
    struct Line: Equatable {
        var value: [UInt8]
        var fields: LineFields
    }

    var lines: [CacheKey: Line] = [:]
    /// Keys from the longest dirty on.
    var dirty: [CacheKey] = []

    mutating func set(_ key: CacheKey, _ line: Line) {
        let wasDirty = lines[key]?.fields.isDirty ?? false
        lines[key] = line
        if line.fields.isDirty && !wasDirty { dirty.append(key) }
        if !line.fields.isDirty && wasDirty { dirty.removeAll { $0 == key } }
    }

    mutating func remove(_ key: CacheKey) {
        lines[key] = nil
        dirty.removeAll { $0 == key }
    }

    /// Compares everything that can be seen of the table, and recounts what it counts.
    func check(_ table: borrowing LineTable, _ comment: Comment) {
        #expect(table.count == lines.count, comment)
        #expect(table.dirtyCount == dirty.count, comment)
        for state in [LineState.shared, .exclusive, .modified] {
            #expect(table.count(of: state) == lines.values.filter { $0.fields.state == state }.count, comment)
        }
        var bytes = 0
        var dirtyBytes = 0
        for (key, line) in lines {
            guard let slot = table.find(key) else {
                Issue.record("\(key) is missing, \(comment)")
                continue
            }
            // Many at once would be slow as separate expectations.
            let isSame =
                Array(table.key(slot)) == key.bytes && Array(table.value(slot)) == line.value
                && table.fields(slot) == line.fields && table.state(slot) == line.fields.state
                && table.version(slot) == line.fields.version && table.gid(slot) == line.fields.gid
                && table.expiresAt(slot) == line.fields.expiresAt && table.exists(slot) == line.fields.exists
                && table.durability(slot) == line.fields.durability && table.flags(slot) == line.fields.flags
                && table.dirtySince(slot) == line.fields.dirtySince
            if !isSame { Issue.record("\(key): \(table.fields(slot)) instead of \(line.fields), \(comment)") }
            let cost = table.cost(keyCount: key.bytes.count, valueCount: line.value.count, line.fields)
            #expect(cost == table.bytes(slot), comment)
            bytes += cost
            if line.fields.isDirty { dirtyBytes += cost }
        }
        #expect(table.bytes == bytes, comment)
        #expect(table.dirtyBytes == dirtyBytes, comment)
        #expect(table.summary.bytes == bytes, comment)
        #expect(Self.dirtyKeys(table) == dirty, comment)
        let walked = Self.keys(table)
        #expect(walked.count == lines.count && Set(walked) == Set(lines.keys), comment)
    }

    static func keys(_ table: borrowing LineTable) -> [CacheKey] {
        var keys: [CacheKey] = []
        var cursor = LineCursor()
        while let slot = table.next(&cursor) { keys.append(CacheKey(Array(table.key(slot)))) }
        return keys
    }

    static func dirtyKeys(_ table: borrowing LineTable) -> [CacheKey] {
        var keys: [CacheKey] = []
        var next = table.oldestDirty
        while let slot = next {
            keys.append(CacheKey(Array(table.key(slot))))
            next = table.nextDirty(after: slot)
        }
        return keys
    }
}

extension LineTable {
    /// Tests hold keys and values in arrays.
    @discardableResult
    mutating func insert(_ key: CacheKey, _ value: [UInt8], _ fields: LineFields, tick: UInt64) -> LineSlot {
        key.bytes.withUnsafeBytes { key in
            value.withUnsafeBytes { insert(CacheKey.hash(of: key), key: key, value: $0, fields, tick: tick) }
        }
    }

    mutating func store(_ slot: inout LineSlot, _ value: [UInt8], _ fields: LineFields) {
        value.withUnsafeBytes { store(&slot, value: $0, fields) }
    }

    mutating func replaceValue(_ slot: inout LineSlot, _ value: [UInt8]) {
        value.withUnsafeBytes { replaceValue(&slot, $0) }
    }
}
