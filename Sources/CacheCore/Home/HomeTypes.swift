// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// What a home asks of its replica, in order.
package struct HomeEffects: Sendable {
    package var send: [(to: CacheMember, notice: CacheNotice)] = []
    /// To be appended to the log; the replica reports where (`proposed`).
    package var proposals: [HomeProposal] = []
    /// Members that renew their lease and do not answer: they are to be renewed no longer.
    package var accusations: [CacheMember] = []
    /// To be fetched from the memory; the answer comes back with the number (`filled`).
    package var fills: [(key: CacheKey, number: UInt64)] = []
    /// FLUSHALL is complete; its caller may be told.
    package var isCleared = false

    package init() {}

    package var isEmpty: Bool {
        send.isEmpty && proposals.isEmpty && accusations.isEmpty && fills.isEmpty && !isCleared
    }

    package mutating func removeAll() {
        send.removeAll(keepingCapacity: true)
        proposals.removeAll(keepingCapacity: true)
        accusations.removeAll(keepingCapacity: true)
        fills.removeAll(keepingCapacity: true)
        isCleared = false
    }
}

package struct HomeProposal: Sendable, Equatable {
    /// Whose transactions wait for it; none: all keys'.
    package var keys: [CacheKey]
    /// Nil: of the home itself.
    package var id: RequestID?
    package var floor: UInt64
    package var command: CacheCommand
}

package struct HomeConfiguration: Sendable {
    /// Lines with a holder, a transaction or a queue. When there are as many, further reads are answered and grant
    /// nothing.
    package var maxLines = 4_000_000
    /// Requests that wait for one line's transaction to end, and for the home to begin.
    package var maxQueue = 4_096
    package var maxStalled = 65_536
    /// Answers to writes that changed nothing, until their senders have them. Above it such writes are logged.
    package var maxVerdicts = 65_536
    /// Keys whose latest writer is remembered, as `LineHistory` does.
    package var historyCells = 4_096
    /// A notice that wants an answer is sent again after this.
    package var resendInterval = Interval.milliseconds(250)
    /// Who has not answered for so long is reported (a link that works one way).
    package var patience = Interval.milliseconds(1_000)

    #if PLANTED_BUGS
        package var plantedBug: PlantedCacheBug?
    #endif

    package init() {}
}

/// What a home's node knew when a quorum was asked whether it still leads.
package struct HomeTicket: Sendable, Equatable {
    package var own: CacheMember?
    /// The version of the home's view.
    package var view: UInt64
}

struct Holder: Sendable, Equatable {
    var member: CacheMember
    var gid: UInt64
}

/// What the directory knows of one line. Volatile: rebuilt from nothing when the home moves.
struct DirectoryLine: Sendable {
    var holders: [Holder] = []
    /// One holder, in E or M.
    var isExclusive = false
    /// The owner may have written without the log.
    var isSilent = false
    var transaction: HomeTransaction?
    var queue: [HomeWork] = []

    var isIdle: Bool { holders.isEmpty && transaction == nil && queue.isEmpty }

    func gid(of member: CacheMember) -> UInt64? { holders.first { $0.member == member }?.gid }

    mutating func drop(_ member: CacheMember) {
        holders.removeAll { $0.member == member }
        if holders.isEmpty {
            isExclusive = false
            isSilent = false
        }
    }

    mutating func hold(_ member: CacheMember, _ gid: UInt64) {
        holders.removeAll { $0.member == member }
        holders.append(Holder(member: member, gid: gid))
    }
}

/// Something to be done with one line, one at a time.
struct HomeWork: Sendable {
    enum Kind: Sendable {
        case read(number: UInt64)
        indirect case write(CacheWrite)
        indirect case put(gid: UInt64, PutReason, LineData)
        /// The home's own: the value's time has come.
        case expire
    }

    var from: CacheMember
    var kind: Kind
    /// The reign does not begin before it is done: an owner's data of an earlier one.
    var isAwaited = false

    var isPut: Bool {
        if case .put = kind { true } else { false }
    }

    /// A write keeps its number when its node comes back as another member.
    func repeats(_ other: HomeWork) -> Bool {
        switch (kind, other.kind) {
        case (.read(let mine), .read(let yours)): from == other.from && mine == yours
        case (.write(let mine), .write(let yours)): mine.id == yours.id
        default: false
        }
    }
}

struct HomeTransaction: Sendable {
    enum Log: Sendable {
        case notNeeded
        /// Waits for the memory.
        case filling
        /// Waits for the owner's data first.
        case held
        case proposed
        /// `isFirst`: it was carried out by this entry, not by an earlier one of the same request.
        case applied(CacheResponse, isFirst: Bool)
    }

    var work: HomeWork
    var gid: UInt64
    /// Who has not acknowledged yet, and what they are asked.
    var targets: [CacheMember] = []
    var notice: CacheNotice?
    var log = Log.notNeeded
    /// What an owner had written without the log, and who keeps it until it is told that the log has it.
    var data: LineData?
    var giver: CacheMember?
    /// A write that may turn out to change nothing: its answer tells of the value as a read does, so the line's owner
    /// is asked to share it first. The write begins again after that.
    var isPreparation = false
    /// What the memory has.
    var fill: CacheCurrent?
    var since: Instant
    var resendAt: Instant
}
