// SPDX-License-Identifier: Apache-2.0
package import NIOCore

/// Cuts a byte stream into commands (server side): RESP arrays of bulk strings, or inline lines as typed into telnet.
///
/// Incremental: it remembers how far it has looked, so a command that arrives byte by byte costs no more than one
/// that arrives whole. After it has thrown, the stream has no known framing and must be closed.
package struct RESPCommandParser {
    package let limits: RESPLimits
    var buffer = ByteBuffer()
    /// How far the current command is understood, counted from `buffer.readerIndex`.
    var position = 0
    /// Where the search for the current line's end goes on, counted likewise; never before `position`.
    var searched = 0
    /// Arguments still to come; nil between commands.
    private var remaining: Int?
    /// The announced length of the argument being received.
    private var bulkLength: Int?
    private var slots: [RESPCommand.Slot] = []

    package init(limits: RESPLimits = RESPLimits()) { self.limits = limits }

    /// Bytes received of a command that is not complete.
    package var bufferedBytes: Int { buffer.readableBytes }

    /// Takes the next bytes of the stream.
    package mutating func append(_ bytes: ByteBuffer) {
        if buffer.readableBytes == 0 {
            buffer = bytes
        } else if buffer.readerIndex > 0 {
            // A copy of the rest only: commands cut off before may still hold the old storage.
            var fresh = ByteBuffer()
            fresh.reserveCapacity(max(buffer.readableBytes + bytes.readableBytes, needed))
            fresh.writeImmutableBuffer(buffer)
            fresh.writeImmutableBuffer(bytes)
            buffer = fresh
        } else {
            buffer.writeImmutableBuffer(bytes)
        }
    }

    /// What the argument being received needs in all, so that a long one grows its storage once.
    private var needed: Int { bulkLength.map { position + $0 + 2 } ?? 0 }

    /// The next whole command, or nil when more bytes are needed.
    package mutating func next() throws(RESPError) -> RESPCommand? {
        while true {
            if remaining != nil {
                guard try readArguments() else { return nil }
                return takeCommand()
            }
            guard let first = buffer.getInteger(at: buffer.readerIndex, as: UInt8.self) else { return nil }
            if first == UInt8(ascii: "*") {
                guard let count = try readHeader(invalid: .invalidArgumentCount) else { return nil }
                guard count <= limits.arguments else { throw .tooManyArguments(limit: limits.arguments) }
                if count <= 0 {
                    skip()
                } else {
                    remaining = count
                    slots.removeAll(keepingCapacity: false)
                    slots.reserveCapacity(min(count, 16))
                }
            } else {
                if first == 0x16 { throw .tlsHandshake }
                switch try readInline() {
                case .incomplete: return nil
                case .empty: skip()
                case .command(let command):
                    skip()
                    return command
                }
            }
        }
    }

    private mutating func takeCommand() -> RESPCommand? {
        remaining = nil
        let length = position
        position = 0
        searched = 0
        guard let slice = buffer.readSlice(length: length) else { return nil }
        let command = RESPCommand(buffer: slice, slots: slots)
        slots = []
        return command
    }

    /// Drops what has been understood.
    private mutating func skip() {
        buffer.moveReaderIndex(forwardBy: position)
        position = 0
        searched = 0
    }

    /// True when all arguments have arrived.
    private mutating func readArguments() throws(RESPError) -> Bool {
        while let left = remaining, left > 0 {
            if bulkLength == nil {
                guard let byte = buffer.getInteger(at: buffer.readerIndex + position, as: UInt8.self) else {
                    return false
                }
                guard byte == UInt8(ascii: "$") else { throw .expectedBulk(got: byte) }
                guard let length = try readHeader(invalid: .invalidBulkLength) else { return false }
                guard length >= 0 else { throw .invalidBulkLength }
                guard length <= limits.bulkBytes else { throw .bulkTooLong(limit: limits.bulkBytes) }
                guard position + length <= limits.commandBytes else {
                    throw .commandTooLong(limit: limits.commandBytes)
                }
                bulkLength = length
            }
            guard let length = bulkLength, buffer.readableBytes >= position + length + 2 else { return false }
            let end = buffer.readerIndex + position + length
            guard buffer.getInteger(at: end, as: UInt16.self) == 0x0d0a else { throw .missingLineEnd }
            slots.append(RESPCommand.Slot(offset: position, count: length))
            position += length + 2
            searched = position
            bulkLength = nil
            remaining = left - 1
        }
        return true
    }

    /// The number of a `*` or `$` line at `position`, which moves past the line; nil when the line is not whole.
    private mutating func readHeader(invalid: RESPError) throws(RESPError) -> Int? {
        guard let end = try lineEnd() else { return nil }
        let start = position + 1
        let number = buffer.withUnsafeReadableBytes { bytes in
            RESPNumber.parse(UnsafeRawBufferPointer(rebasing: bytes[start ..< max(start, end.text)]))
        }
        guard let number else { throw invalid }
        position = end.next
        searched = position
        return number
    }

    /// The end of the line at `position`: where its text stops and the next line begins. Lines end in LF or CR LF.
    mutating func lineEnd() throws(RESPError) -> (text: Int, next: Int)? {
        let from = max(searched, position)
        let found: (feed: Int, hasReturn: Bool)? = buffer.withUnsafeReadableBytes { bytes in
            guard from < bytes.count, let feed = bytes[from...].firstIndex(of: 0x0a) else { return nil }
            return (feed, feed > position && bytes[feed - 1] == 0x0d)
        }
        guard let found else {
            searched = buffer.readableBytes
            if searched - position > limits.lineBytes { throw .lineTooLong(limit: limits.lineBytes) }
            return nil
        }
        if found.feed - position > limits.lineBytes { throw .lineTooLong(limit: limits.lineBytes) }
        return (found.hasReturn ? found.feed - 1 : found.feed, found.feed + 1)
    }
}

/// Decimal numbers as RESP writes them.
package enum RESPNumber {
    /// An optional sign and 1–19 digits, nothing else; nil when malformed or beyond 64 bits.
    package static func parse(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard let first = bytes.first else { return nil }
        let isNegative = first == UInt8(ascii: "-")
        let digits = bytes.dropFirst(isNegative || first == UInt8(ascii: "+") ? 1 : 0)
        guard !digits.isEmpty, digits.count <= 19 else { return nil }
        // Summed below zero, where the range is larger by one.
        var value = 0
        for byte in digits {
            guard byte >= 0x30, byte <= 0x39 else { return nil }
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            let (sum, overflowed) = product.subtractingReportingOverflow(Int(byte - 0x30))
            if overflow || overflowed { return nil }
            value = sum
        }
        if isNegative { return value }
        return value == .min ? nil : -value
    }
}
