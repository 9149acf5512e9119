// SPDX-License-Identifier: Apache-2.0
package import CacheCore
package import LockCore
package import PlacementCore
package import Primitives
package import QueueCore

/// A change of a shard's state, of whichever service. Tags are never reused (DESIGN §3 rule 7).
package enum ShardCommand: Sendable, Equatable {
    indirect case lock(LockCommand)
    indirect case queue(QueueCommand)
    indirect case cache(CacheCommand)
    /// To the system shard: from now on this table says which nodes hold each shard. Taken if it follows the one that
    /// stands, or is the first.
    indirect case placement(PlacementTable)

    private static let lockTag: UInt8 = 1
    private static let queueTag: UInt8 = 2
    private static let placementTag: UInt8 = 3
    private static let cacheTag: UInt8 = 4

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .lock(let command):
            writer.u8(Self.lockTag)
            command.encode(into: &writer)
        case .queue(let command):
            writer.u8(Self.queueTag)
            command.encode(into: &writer)
        case .placement(let table):
            writer.u8(Self.placementTag)
            table.encode(into: &writer)
        case .cache(let command):
            writer.u8(Self.cacheTag)
            command.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case Self.lockTag: self = .lock(try LockCommand(decoding: &reader))
        case Self.queueTag: self = .queue(try QueueCommand(decoding: &reader))
        case Self.placementTag: self = .placement(try PlacementTable(decoding: &reader))
        case Self.cacheTag: self = .cache(try CacheCommand(decoding: &reader))
        case let tag: throw .unknownTag(what: "shard command", value: UInt64(tag))
        }
    }

    /// Whether the encoded command is one of queues; the reader then stands before it.
    static func isQueue(_ reader: inout ByteReader) throws(DecodingError) -> Bool { try reader.u8() == queueTag }

    /// Whether the answer may be put off until there is a lock or a message.
    package var mayWait: Bool {
        switch self {
        case .lock(let command): command.mayWait
        case .queue(let command): command.mayWait
        case .cache, .placement: false
        }
    }

    /// Whether a full disk refuses it: what ends or gives back something is let through on the log's reserve.
    package var needsRoom: Bool {
        switch self {
        case .lock(let command): command.needsRoom
        case .queue(let command): command.needsRoom
        case .cache(let command): command.needsRoom
        case .placement: false
        }
    }
}

/// The state machine's answer to a change: what a retry is given again.
package enum ShardAnswer: Sendable, Equatable {
    case lock(LockResponse)
    case queue(QueueResponse)
    case cache(CacheResponse)

    package func encode(into writer: inout ByteWriter) {
        switch self {
        case .lock(let response):
            writer.u8(1)
            response.encode(into: &writer)
        case .queue(let response):
            writer.u8(2)
            response.encode(into: &writer)
        case .cache(let response):
            writer.u8(3)
            response.encode(into: &writer)
        }
    }

    package init(decoding reader: inout ByteReader) throws(DecodingError) {
        switch try reader.u8() {
        case 1: self = .lock(try LockResponse(decoding: &reader))
        case 2: self = .queue(try QueueResponse(decoding: &reader))
        case 3: self = .cache(try CacheResponse(decoding: &reader))
        case let tag: throw .unknownTag(what: "shard answer", value: UInt64(tag))
        }
    }
}

/// The bounds of a shard's state machines: the same on every replica.
package struct ShardLimits: Sendable, Equatable {
    package var locks = LockLimits()
    package var queues = QueueLimits()
    /// The cache's memory is Redis: the state holds what is to be written back.
    package var isCacheWrittenBack = false

    package init(
        locks: LockLimits = LockLimits(),
        queues: QueueLimits = QueueLimits(),
        isCacheWrittenBack: Bool = false
    ) {
        self.locks = locks
        self.queues = queues
        self.isCacheWrittenBack = isCacheWrittenBack
    }
}

/// What applying one entry brought about.
package struct ShardEffects: Sendable {
    package var locks = LockEffects()
    package var queues = QueueEffects()
    package var cache = CacheEffects()
    /// Answers that became due, in the order of their making.
    package var answers: [(request: RequestID, answer: ShardAnswer)] = []

    package init() {}

    package mutating func removeAll() {
        locks.removeAll()
        queues.removeAll()
        cache.removeAll()
        answers.removeAll(keepingCapacity: true)
    }
}
