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

    /// The input that is left, if it begins with a command of which nothing was looked at before; else nil.
    package var freshInput: ByteBuffer? {
        remaining == nil && position == 0 && searched == 0 && buffer.readableBytes > 0 ? buffer : nil
    }

    /// Drops whole commands from the front of the fresh input, which were understood elsewhere.
    package mutating func drop(_ count: Int) {
        buffer.moveReaderIndex(forwardBy: count)
        letGo()
    }

    /// An empty buffer keeps its storage from being used again for the next read.
    private mutating func letGo() {
        if buffer.readableBytes == 0 { buffer = ByteBuffer() }
    }

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

    private enum Step {
        case incomplete
        /// What was read is no command and can be dropped.
        case skip
        case command
        case inline
    }

    /// The next whole command, or nil when more bytes are needed.
    package mutating func next() throws(RESPError) -> RESPCommand? {
        while true {
            // One look at the bytes per command; the second reference lets the scan change this parser meanwhile.
            let held = buffer
            let step: Result<Step, RESPError> = held.withUnsafeReadableBytes { bytes in
                do throws(RESPError) {
                    return .success(try scan(bytes))
                } catch {
                    return .failure(error)
                }
            }
            switch try step.get() {
            case .incomplete: return nil
            case .skip: skip()
            case .command: return takeCommand()
            case .inline:
                guard let command = try readInline() else { return nil }
                skip()
                if !command.slots.isEmpty { return command }
            }
        }
    }

    private mutating func scan(_ bytes: UnsafeRawBufferPointer) throws(RESPError) -> Step {
        if remaining == nil {
            guard let first = bytes.first else { return .incomplete }
            guard first == UInt8(ascii: "*") else {
                if first == 0x16 { throw .tlsHandshake }
                return .inline
            }
            guard let count = try readHeader(bytes, invalid: .invalidArgumentCount) else { return .incomplete }
            guard count <= limits.arguments else { throw .tooManyArguments(limit: limits.arguments) }
            if count <= 0 { return .skip }
            remaining = count
            slots.reserveCapacity(min(count, 16))
        }
        return try readArguments(bytes) ? .command : .incomplete
    }

    private mutating func takeCommand() -> RESPCommand? {
        remaining = nil
        let length = position
        position = 0
        searched = 0
        guard let slice = buffer.readSlice(length: length) else { return nil }
        let command = RESPCommand(buffer: slice, slots: slots)
        slots = []
        letGo()
        return command
    }

    /// Drops what has been understood.
    private mutating func skip() {
        buffer.moveReaderIndex(forwardBy: position)
        position = 0
        searched = 0
    }

    /// True when all arguments have arrived.
    private mutating func readArguments(_ bytes: UnsafeRawBufferPointer) throws(RESPError) -> Bool {
        while let left = remaining, left > 0 {
            if bulkLength == nil {
                guard position < bytes.count else { return false }
                guard bytes[position] == UInt8(ascii: "$") else { throw .expectedBulk(got: bytes[position]) }
                guard let length = try readHeader(bytes, invalid: .invalidBulkLength) else { return false }
                guard length >= 0 else { throw .invalidBulkLength }
                guard length <= limits.bulkBytes else { throw .bulkTooLong(limit: limits.bulkBytes) }
                guard position + length <= limits.commandBytes else {
                    throw .commandTooLong(limit: limits.commandBytes)
                }
                bulkLength = length
            }
            guard let length = bulkLength, bytes.count >= position + length + 2 else { return false }
            let end = position + length
            guard bytes[end] == 0x0d, bytes[end + 1] == 0x0a else { throw .missingLineEnd }
            slots.append(RESPCommand.Slot(offset: position, count: length))
            position = end + 2
            searched = position
            bulkLength = nil
            remaining = left - 1
        }
        return true
    }

    /// The number of a `*` or `$` line at `position`, which moves past the line; nil when the line is not whole.
    private mutating func readHeader(
        _ bytes: UnsafeRawBufferPointer,
        invalid: RESPError
    ) throws(RESPError) -> Int? {
        guard let end = try lineEnd(bytes) else { return nil }
        let start = position + 1
        let digits = UnsafeRawBufferPointer(rebasing: bytes[start..<max(start, end.text)])
        guard let number = RESPNumber.parse(digits) else { throw invalid }
        position = end.next
        searched = position
        return number
    }

    /// The end of the line at `position`: where its text stops and the next line begins. Lines end in LF or CR LF.
    mutating func lineEnd(_ bytes: UnsafeRawBufferPointer) throws(RESPError) -> (text: Int, next: Int)? {
        var feed = max(searched, position)
        while feed < bytes.count, bytes[feed] != 0x0a { feed += 1 }
        searched = feed
        if feed - position > limits.lineBytes { throw .lineTooLong(limit: limits.lineBytes) }
        guard feed < bytes.count else { return nil }
        return (feed > position && bytes[feed - 1] == 0x0d ? feed - 1 : feed, feed + 1)
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
