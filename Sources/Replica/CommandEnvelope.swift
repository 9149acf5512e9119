// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives
import QueueCore

/// The payload of a command entry: the command, who asked for it, and the leader's time stamp.
package struct CommandEnvelope: Sendable, Equatable {
    /// Milliseconds of cluster time: the only clock that apply sees.
    package var stamp: UInt64
    package var request: RequestID
    package var acknowledgedBelow: UInt64
    package var acknowledged: [UInt64]
    package var command: ShardCommand

    package init(
        stamp: UInt64,
        request: RequestID,
        acknowledgedBelow: UInt64 = 0,
        acknowledged: [UInt64] = [],
        command: ShardCommand
    ) {
        self.stamp = stamp
        self.request = request
        self.acknowledgedBelow = acknowledgedBelow
        self.acknowledged = acknowledged
        self.command = command
    }

    /// Raised when a version writes something that an older one must not skip.
    private static let version: UInt8 = 2

    package func encoded() -> [UInt8] {
        var writer = ByteWriter(capacity: 96)
        writer.u8(Self.version)
        writer.varint(stamp)
        writer.u64(request.origin)
        writer.varint(request.number)
        writer.varint(acknowledgedBelow)
        writer.varint(UInt64(acknowledged.count))
        for number in acknowledged { writer.varint(number) }
        command.encode(into: &writer)
        return writer.bytes
    }

    package init(decoding bytes: [UInt8]) throws(DecodingError) {
        var reader = ByteReader(bytes)
        self = try Self.head(&reader)
        command = try ShardCommand(decoding: &reader)
        try reader.expectEnd()
    }

    /// All but the command.
    fileprivate static func head(_ reader: inout ByteReader) throws(DecodingError) -> CommandEnvelope {
        try reader.version(Self.version, "command")
        let stamp = try reader.varint()
        let request = RequestID(origin: try reader.u64(), number: try reader.varint())
        let below = try reader.varint()
        let count = try reader.count(limit: RoutedRequest.maxAcknowledged, "acknowledged requests")
        var acknowledged: [UInt64] = []
        for _ in 0..<count { acknowledged.append(try reader.varint()) }
        return CommandEnvelope(
            stamp: stamp,
            request: request,
            acknowledgedBelow: below,
            acknowledged: acknowledged,
            command: noCommand
        )
    }

    /// Stands in `head` until the command is read.
    private static let noCommand = ShardCommand.queue(.cancelWait(.internal))
}

extension CommandEnvelope {
    /// The queue command in an entry's payload, still encoded; nil when it is another's.
    static func queueCommand(in payload: [UInt8]) throws(DecodingError) -> ByteReader? {
        var reader = ByteReader(payload)
        _ = try head(&reader)
        return try ShardCommand.isQueue(&reader) ? reader : nil
    }
}

extension LockCommand {
    /// Whether the answer may be put off until a lock is free.
    package var mayWait: Bool {
        switch self {
        case .acquire(let acquire): acquire.wait != .none
        case .convert(let convert): convert.wait != .none
        default: false
        }
    }

    /// Whether a full disk refuses it: what ends or gives back something is let through on the log's reserve.
    package var needsRoom: Bool {
        switch self {
        case .openSession, .acquire, .convert: true
        case .closeSession, .release, .breakLock, .cancel, .expireSession, .timeoutWait, .endLockDelay, .abortWait:
            false
        }
    }
}
