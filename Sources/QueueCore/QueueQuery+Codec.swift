// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension QueueQuery {
    private enum Tag: UInt8 {
        case queue = 1
        case queues
        case peek
        case message
        case consumer
    }

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .queue(let name):
            writer.u8(Tag.queue.rawValue)
            writer.name(name)
        case .queues(let prefix, let after, let limit):
            writer.u8(Tag.queues.rawValue)
            writer.text(prefix)
            writer.name(after)
            writer.signed(Int64(limit))
        case .peek(let name, let state, let limit):
            writer.u8(Tag.peek.rawValue)
            writer.name(name)
            writer.u8(state.rawValue)
            writer.signed(Int64(limit))
        case .message(let name, let id):
            writer.u8(Tag.message.rawValue)
            writer.name(name)
            writer.varint(id.rawValue)
        case .consumer(let id):
            writer.u8(Tag.consumer.rawValue)
            writer.name(id)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        let tag: Tag = try reader.raw("queue query")
        switch tag {
        case .queue: self = .queue(try reader.name())
        case .queues:
            self = .queues(
                prefix: try reader.text(limit: DecodeLimit.text, "prefix"),
                after: try reader.name(),
                limit: Int(try reader.signed())
            )
        case .peek: self = .peek(try reader.name(), try reader.raw("state"), limit: Int(try reader.signed()))
        case .message: self = .message(try reader.name(), try reader.message())
        case .consumer: self = .consumer(try reader.name())
        }
    }
}
