// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A message as it stands in the log, still encoded: what a body store keeps and a consumer's node unpacks.
package struct StoredMessage: Sendable, Hashable {
    package let bytes: [UInt8]

    package init(bytes: [UInt8]) { self.bytes = bytes }

    /// - Throws: when the bytes are not those of a message: they were damaged.
    package func unpacked() throws(DecodingError) -> PublishMessage {
        var reader = ByteReader(bytes)
        let message = try PublishMessage(decoding: &reader)
        try reader.expectEnd()
        return message
    }
}

extension QueueCommand {
    /// The message of an encoded publish that has this ordinal, without decoding the others: how the log serves a body.
    /// Throws `invalidValue` when the command is no publish or has fewer messages.
    package static func stored(_ ordinal: Int, decoding reader: inout ByteReader) throws(DecodingError)
        -> StoredMessage
    {
        var found: StoredMessage?
        try forEachFrame(&reader) { (number, length, reader) throws(DecodingError) in
            guard number == ordinal else { return true }
            found = StoredMessage(bytes: try reader.raw(length))
            return false
        }
        guard let found else { throw .invalidValue(what: "ordinal") }
        return found
    }

    /// All messages of an encoded publish, by ordinal; none when the command is no publish. `isWanted` says which to
    /// copy out.
    package static func forEachStored(
        decoding reader: inout ByteReader,
        where isWanted: (Int) -> Bool,
        _ body: (Int, StoredMessage) -> Void
    ) throws(DecodingError) {
        try forEachFrame(&reader) { (number, length, reader) throws(DecodingError) in
            if isWanted(number) { body(number, StoredMessage(bytes: try reader.raw(length))) }
            return true
        }
    }

    /// Stands before each frame; what the body leaves of it unread is stepped over.
    private static func forEachFrame(
        _ reader: inout ByteReader,
        _ body: (Int, Int, inout ByteReader) throws(DecodingError) -> Bool
    ) throws(DecodingError) {
        guard try isPublish(&reader) else { return }
        _ = try Publish.decodeHead(&reader)
        let total = try reader.count(limit: MessageID.perEntry, "messages")
        for number in 0..<total {
            let length = try reader.count(limit: DecodeLimit.body, "message")
            guard length <= reader.remaining else { throw .truncated }
            let end = reader.offset + length
            guard try body(number, length, &reader) else { return }
            try reader.skip(end - reader.offset)
        }
    }
}
