// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives

/// The payload of a command entry: the command, who asked for it, and the leader's time stamp.
package struct CommandEnvelope: Sendable, Equatable {
    /// Milliseconds of cluster time: the only clock that apply sees.
    package var stamp: UInt64
    package var request: RequestID
    package var acknowledgedBelow: UInt64
    package var acknowledged: [UInt64]
    package var command: LockCommand

    package init(
        stamp: UInt64,
        request: RequestID,
        acknowledgedBelow: UInt64 = 0,
        acknowledged: [UInt64] = [],
        command: LockCommand
    ) {
        self.stamp = stamp
        self.request = request
        self.acknowledgedBelow = acknowledgedBelow
        self.acknowledged = acknowledged
        self.command = command
    }

    /// Raised when a version writes something that an older one must not skip.
    private static let version: UInt8 = 1

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
        let version = try reader.u8()
        guard version == Self.version else { throw .unknownTag(what: "command version", value: UInt64(version)) }
        stamp = try reader.varint()
        request = RequestID(origin: try reader.u64(), number: try reader.varint())
        acknowledgedBelow = try reader.varint()
        let count = try reader.count(limit: RoutedRequest.maxAcknowledged, "acknowledged requests")
        acknowledged = []
        for _ in 0..<count { acknowledged.append(try reader.varint()) }
        command = try LockCommand(decoding: &reader)
        try reader.expectEnd()
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
