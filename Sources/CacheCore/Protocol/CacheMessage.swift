// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What a line holds, on its way between a node and a home.
package struct LineData: Sendable, Equatable {
    /// Nil: the key is absent.
    package var value: [UInt8]?
    package var version: CacheVersion
    /// Milliseconds until it expires, from the moment of sending; nil: never.
    package var remaining: UInt64?

    package init(value: [UInt8]?, version: CacheVersion, remaining: UInt64? = nil) {
        self.value = value
        self.version = version
        self.remaining = remaining
    }
}

/// What the sender of a write holds of the key. A write from a shared line that is not kept is sent as `nothing`, after
/// the line was dropped (PutReq).
package enum HeldLine: UInt8, Sendable {
    case nothing = 0
    /// Upgrade.
    case shared = 1
    /// WC: the line is E or M.
    case owned = 2
}

/// GetM, Upgrade, WC and PutReq in one: the home decides whether the writer becomes the owner.
package struct CacheWrite: Sendable, Equatable {
    /// Makes its repetition harmless (`RequestTable`).
    package var id: RequestID
    /// The sender has the answers of all its writes to this shard below this number.
    package var floor: UInt64
    /// What is carried out before it, in this order, in the same entry of the log: writes of one node that waited for
    /// the same line.
    package var earlier: [CacheOperation]
    package var operation: CacheOperation
    package var durability: CacheDurability
    package var held: HeldLine
    /// The number of the grant that the line came with, kept or dropped for this write; zero: there was none. A home
    /// that knows of another grant has the sender let go of that one, as all others.
    package var gid: UInt64
    /// An owner's unlogged data, which the operation is to work on.
    package var data: LineData?
    /// A lock's fencing token: refused if the key has seen a higher one. Zero: none.
    package var token: UInt64

    package init(
        id: RequestID,
        floor: UInt64,
        earlier: [CacheOperation] = [],
        operation: CacheOperation,
        durability: CacheDurability,
        held: HeldLine,
        gid: UInt64 = 0,
        data: LineData? = nil,
        token: UInt64 = 0
    ) {
        self.id = id
        self.floor = floor
        self.earlier = earlier
        self.operation = operation
        self.durability = durability
        self.held = held
        self.gid = gid
        self.data = data
        self.token = token
    }

    /// Operations of one write, and their bytes. A single operation may have more.
    package static let maxOperations = 256
    package static let maxGroupBytes = 64 << 10

    /// Of its first operation: a plain SET in front decides what those behind it meet.
    package var needsCurrent: Bool { (earlier.first ?? operation).needsCurrent }
}

package enum PutReason: UInt8, Sendable {
    /// The line has left the sender.
    case evict = 0
    /// The sender stays the owner.
    case flush = 1
    /// Unlogged data whose line the sender no longer owns: of an earlier reign, of a life that ended, or sent with an
    /// acknowledgement and not confirmed. Taken if nobody has written since.
    case restore = 2
}

/// From a node to a shard's home.
package enum HomeRequest: Sendable, Equatable {
    /// GetS.
    case read(CacheKey, number: UInt64)
    indirect case write(CacheKey, CacheWrite)
    /// PutS and PutE: clean lines that have gone, with the numbers of their grants.
    case hints([(CacheKey, UInt64)])
    /// PutM.
    indirect case put(CacheKey, gid: UInt64, PutReason, LineData)
    /// Ack, with an owner's unlogged data. `isKept`: the line stays, shared.
    indirect case ack(CacheKey, gid: UInt64, data: LineData?, isKept: Bool)
    /// EpochSync is done: no line of an earlier reign is left. The view is the newest that the sender knows of.
    case synchronised(view: CacheView)

    package static func == (left: HomeRequest, right: HomeRequest) -> Bool {
        switch (left, right) {
        case (.read(let a, let b), .read(let c, let d)): a == c && b == d
        case (.write(let a, let b), .write(let c, let d)): a == c && b == d
        case (.hints(let a), .hints(let b)):
            a.count == b.count && zip(a, b).allSatisfy { $0.0 == $1.0 && $0.1 == $1.1 }
        case (.put(let a, let b, let c, let d), .put(let e, let f, let g, let h)): a == e && b == f && c == g && d == h
        case (.ack(let a, let b, let c, let d), .ack(let e, let f, let g, let h)): a == e && b == f && c == g && d == h
        case (.synchronised(let a), .synchronised(let b)): a == b
        default: false
        }
    }
}

/// The line that a home grants with an answer.
package struct LineGrant: Sendable, Equatable {
    package var gid: UInt64
    /// Invalid: nothing is granted, and the receiver keeps nothing.
    package var state: LineState
    /// An owner may write without the log.
    package var isSilent: Bool

    package init(gid: UInt64, state: LineState, isSilent: Bool = false) {
        self.gid = gid
        self.state = state
        self.isSilent = isSilent
    }
}

/// From a shard's home to a node.
package enum CacheNotice: Sendable, Equatable {
    /// Data, DataE.
    indirect case data(CacheKey, number: UInt64, LineGrant, LineData)
    /// DataM, UpgAck, WAck, and the answer to a PutReq. `data` is what stands now when the receiver cannot know it.
    /// `earlier`: of the write's earlier operations, in their order.
    indirect case written(
        CacheKey,
        number: UInt64,
        LineGrant,
        CacheAnswer,
        CacheVersion,
        earlier: [CacheOutcome] = [],
        data: LineData?
    )
    /// Inv.
    case invalidate(CacheKey, gid: UInt64)
    /// Fwd-GetS (`toShared`) and Fwd-GetM, with the home's version.
    case recall(CacheKey, gid: UInt64, toShared: Bool, CacheVersion)
    /// Data of this version need not be kept any longer. `isStored` false: somebody else's change came first.
    case putDone(CacheKey, gid: UInt64, CacheVersion, isStored: Bool)
    /// EpochSync. The envelope says which reign. The view is the home's: who answers knows it from then on, so that a
    /// later home hears of every member this one may have granted lines to.
    case synchronise(view: CacheView)
    /// - Parameter isWrite: reads and writes of a node are numbered apart.
    case refused(CacheKey, number: UInt64, isWrite: Bool, HomeRefusal)
}

package enum HomeRefusal: Sendable, Equatable {
    case busy(reason: String)
    /// The memory cannot be reached.
    case memoryDown(reason: String)
}
