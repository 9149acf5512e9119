// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The index entry of one message: 24 bytes, fewer once it is packed, and all there is of a plain one beside its place
/// in a line.
struct MessageRecord: Sendable, Equatable {
    /// `MessageID.rawValue`.
    let id: UInt64
    /// Publish stamp in the high 48 bits, then a flag, four bits of priority and the state in the low four.
    private var meta: UInt64
    /// The slot of the extra record when the message has one, else its bytes.
    private(set) var word: UInt32
    /// Slot of its queue, and the tenant's place there.
    var queue: UInt16
    var tenant: UInt16

    private static let extraFlag: UInt64 = 1 << 8
    private static let kindMask: UInt64 = 1 << 9 - 1

    init(id: UInt64, published: UInt64, priority: UInt8, bytes: UInt32, queue: UInt16, tenant: UInt16) {
        self.id = id
        meta = published << 16 | UInt64(priority & 15) << 4 | UInt64(MessageState.ready.rawValue)
        word = bytes
        self.queue = queue
        self.tenant = tenant
    }

    /// Puts together what `published`, `kind` and the others say.
    init(id: UInt64, published: UInt64, kind: UInt16, word: UInt32, queue: UInt16, tenant: UInt16) {
        self.id = id
        meta = published << 16 | UInt64(kind) & Self.kindMask
        self.word = word
        self.queue = queue
        self.tenant = tenant
    }

    var published: UInt64 { meta >> 16 }

    /// State, priority and whether there is an extra record, in nine bits.
    var kind: UInt16 { UInt16(truncatingIfNeeded: meta & Self.kindMask) }

    var priority: Int { Int(meta >> 4 & 15) }

    /// Nil once the message is no more.
    var state: MessageState? {
        get { MessageState(rawValue: UInt8(truncatingIfNeeded: meta & 15)) }
        set { meta = meta & ~15 | UInt64(newValue?.rawValue ?? 0) }
    }

    var isGone: Bool { meta & 15 == 0 }

    /// `noSlot` when it has none.
    var extra: Slot {
        get { meta & Self.extraFlag == 0 ? noSlot : Slot(bitPattern: word) }
        set {
            meta |= Self.extraFlag
            word = UInt32(bitPattern: newValue)
        }
    }

    /// Whether a record from elsewhere has a state, and a slot where it is to have one.
    var isValid: Bool { state != nil && (meta & Self.extraFlag == 0 || Slot(bitPattern: word) >= 0) }

    /// Meaningful only without an extra record, which has the number then.
    var plainBytes: UInt32 { word }
}
