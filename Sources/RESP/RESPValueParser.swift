// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// Cuts a byte stream into values (client side), both protocol versions. Incremental like `RESPCommandParser`:
/// finished parts of an aggregate are kept, not read again. After it has thrown, the stream must be closed.
package struct RESPValueParser {
    private enum Kind {
        case array
        case set
        case push
        case map
        /// Out-of-band data about the value that follows it; read and dropped.
        case attribute
    }

    /// An aggregate whose elements are still arriving.
    private struct Frame {
        var kind: Kind
        var remaining: Int
        var values: [RESPValue]
    }

    private enum Bulk {
        case string
        case error
        case verbatim
    }

    package let limits: RESPLimits
    private var buffer = ByteBuffer()
    /// Where the search for a line's end goes on, counted from the reader index.
    private var searched = 0
    private var frames: [Frame] = []
    private var bulk: (kind: Bulk, length: Int)?

    package init(limits: RESPLimits = RESPLimits(bulkBytes: 64 << 20)) { self.limits = limits }

    package mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else {
            buffer.discardReadBytes()
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// The next whole value, or nil when more bytes are needed.
    package mutating func next() throws(RESPError) -> RESPValue? {
        while true {
            let value: RESPValue
            if let bulk {
                guard let received = try readBulk(bulk.kind, bulk.length) else { return nil }
                value = received
            } else {
                guard let line = try readLine() else { return nil }
                guard let scalar = try begin(line) else { continue }
                value = scalar
            }
            if let whole = complete(value) { return whole }
        }
    }

    /// Puts a finished value where it belongs; the outermost value when that is finished with it.
    private mutating func complete(_ value: RESPValue) -> RESPValue? {
        var value = value
        while !frames.isEmpty {
            frames[frames.count - 1].values.append(value)
            frames[frames.count - 1].remaining -= 1
            guard frames[frames.count - 1].remaining == 0 else { return nil }
            guard let done = Self.aggregate(frames.removeLast()) else { return nil }
            value = done
        }
        return value
    }

    private static func aggregate(_ frame: Frame) -> RESPValue? {
        switch frame.kind {
        case .array: return .array(frame.values)
        case .set: return .set(frame.values)
        case .push: return .push(frame.values)
        case .map:
            let values = frame.values
            return .map(
                stride(from: 0, to: values.count - 1, by: 2).map {
                    RESPValue.Pair(key: values[$0], value: values[$0 + 1])
                }
            )
        case .attribute: return nil
        }
    }

    /// Handles one header or scalar line; nil when it began something whose parts are still to come.
    private mutating func begin(_ line: ByteBuffer) throws(RESPError) -> RESPValue? {
        var line = line
        guard let type = line.readInteger(as: UInt8.self) else { throw .unknownType(0x0d) }
        switch type {
        case UInt8(ascii: "+"): return .simple(String(buffer: line))
        case UInt8(ascii: "-"): return .error(String(buffer: line))
        case UInt8(ascii: ":"): return .integer(Int64(try number(line)))
        case UInt8(ascii: "_"): return .null
        case UInt8(ascii: "#"): return .bool(line.readInteger(as: UInt8.self) == UInt8(ascii: "t"))
        case UInt8(ascii: ","): return .double(try double(line))
        case UInt8(ascii: "("): return .bigNumber(String(buffer: line))
        case UInt8(ascii: "$"): return try beginBulk(.string, line)
        case UInt8(ascii: "!"): return try beginBulk(.error, line)
        case UInt8(ascii: "="): return try beginBulk(.verbatim, line)
        case UInt8(ascii: "*"): return try beginAggregate(.array, line, perElement: 1)
        case UInt8(ascii: "~"): return try beginAggregate(.set, line, perElement: 1)
        case UInt8(ascii: ">"): return try beginAggregate(.push, line, perElement: 1)
        case UInt8(ascii: "%"): return try beginAggregate(.map, line, perElement: 2)
        case UInt8(ascii: "|"): return try beginAggregate(.attribute, line, perElement: 2)
        default: throw .unknownType(type)
        }
    }

    private mutating func beginBulk(_ kind: Bulk, _ line: ByteBuffer) throws(RESPError) -> RESPValue? {
        let length = try number(line)
        if length == -1 { return .null }
        guard length >= 0 else { throw .invalidBulkLength }
        guard length <= limits.bulkBytes else { throw .bulkTooLong(limit: limits.bulkBytes) }
        bulk = (kind, length)
        return nil
    }

    private mutating func beginAggregate(_ kind: Kind, _ line: ByteBuffer, perElement: Int) throws(RESPError)
        -> RESPValue?
    {
        let count = try number(line)
        if count == -1 { return .null }
        guard count >= 0 else { throw .invalidArgumentCount }
        guard count <= limits.elements else { throw .tooManyElements(limit: limits.elements) }
        guard frames.count < limits.depth else { throw .nestedTooDeep(limit: limits.depth) }
        let frame = Frame(kind: kind, remaining: count * perElement, values: [])
        if count == 0 { return Self.aggregate(frame) }
        frames.append(frame)
        frames[frames.count - 1].values.reserveCapacity(min(count * perElement, 64))
        return nil
    }

    private mutating func readBulk(_ kind: Bulk, _ length: Int) throws(RESPError) -> RESPValue? {
        guard buffer.readableBytes >= length + 2 else { return nil }
        guard buffer.getInteger(at: buffer.readerIndex + length, as: UInt16.self) == 0x0d0a,
            let bytes = buffer.readSlice(length: length)
        else { throw .missingLineEnd }
        buffer.moveReaderIndex(forwardBy: 2)
        bulk = nil
        switch kind {
        case .string: return .bulk(bytes)
        case .error: return .error(String(buffer: bytes))
        case .verbatim:
            let text = String(buffer: bytes)
            guard length >= 4 else { throw .invalidBulkLength }
            return .verbatim(format: String(text.prefix(3)), String(text.dropFirst(4)))
        }
    }

    private mutating func readLine() throws(RESPError) -> ByteBuffer? {
        let from = searched
        let feed = buffer.withUnsafeReadableBytes { bytes in
            from < bytes.count ? bytes[from...].firstIndex(of: 0x0a) : nil
        }
        guard let feed else {
            searched = buffer.readableBytes
            if searched > limits.lineBytes { throw .lineTooLong(limit: limits.lineBytes) }
            return nil
        }
        searched = 0
        guard feed > 0, buffer.getInteger(at: buffer.readerIndex + feed - 1, as: UInt8.self) == 0x0d,
            let line = buffer.readSlice(length: feed - 1)
        else { throw .missingLineEnd }
        buffer.moveReaderIndex(forwardBy: 2)
        return line
    }

    private func number(_ line: ByteBuffer) throws(RESPError) -> Int {
        guard let value = line.withUnsafeReadableBytes({ RESPNumber.parse($0) }) else { throw .invalidNumber }
        return value
    }

    private func double(_ line: ByteBuffer) throws(RESPError) -> Double {
        guard let value = Double(String(buffer: line)) else { throw .invalidNumber }
        return value
    }
}
