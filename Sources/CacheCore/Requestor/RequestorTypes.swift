// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// A client's wish that a node could not fulfil at once.
package struct CacheCall: Sendable {
    package enum Kind: Sendable {
        case read
        indirect case write(CacheOperation, CacheDurability, token: UInt64)
    }

    /// Names the caller; chosen by the shell.
    package var token: UInt64
    package var kind: Kind
    package var deadline: Instant

    package init(token: UInt64, kind: Kind, deadline: Instant) {
        self.token = token
        self.kind = kind
        self.deadline = deadline
    }
}

package enum CacheCallResult: Sendable, Equatable {
    case read(LineData, LineState)
    case written(CacheAnswer, CacheVersion)
    case failed(CacheCallFailure)
}

package enum CacheCallFailure: Sendable, Equatable {
    /// Nothing was done.
    case busy(reason: String)
    case unavailable(reason: String)
    case memoryDown(reason: String)
    /// It may have been done.
    case unknown(reason: String)
}

/// What a requestor asks of its node, in order.
package struct RequestorEffects: Sendable {
    /// To the shard's home.
    package var send: [HomeRequest] = []
    package var completed: [(token: UInt64, result: CacheCallResult)] = []
    /// The node can no longer vouch for what it said of these keys.
    package var departed: [CacheKey] = []
    /// ... nor of any key of the shard.
    package var isCleared = false
    /// Unlogged writes of the mode `local`: to be on this node's disk before their callers are answered.
    package var journal: [JournalledWrite] = []
    /// Up to these versions the log has what this node wrote without it, or (`isStored` false) has somebody's later
    /// change instead: a journal need not keep it any longer.
    package var settled: [(key: CacheKey, version: CacheVersion, isStored: Bool)] = []

    package init() {}

    package mutating func removeAll() {
        send.removeAll(keepingCapacity: true)
        completed.removeAll(keepingCapacity: true)
        departed.removeAll(keepingCapacity: true)
        isCleared = false
        journal.removeAll(keepingCapacity: true)
        settled.removeAll(keepingCapacity: true)
    }
}

package struct JournalledWrite: Sendable, Equatable {
    package var key: CacheKey
    package var data: LineData
    package var token: UInt64
    package var result: CacheCallResult
    /// Of the call.
    package var deadline: Instant
}

package struct RequestorConfiguration: Sendable {
    /// Of this start of this node: makes the numbers of its writes unique.
    package var origin: UInt64
    package var policy: EvictionPolicy
    /// A request without an answer is sent again after this.
    package var resendInterval = Interval.milliseconds(1_000)
    /// Unlogged data is written back when it is as old as this.
    package var flushInterval = Interval.milliseconds(1_000)
    /// Lines of one shard that are on their way to the log at the same time.
    package var maxFlushes = 256
    /// Calls that wait for one shard's home.
    package var maxCalls = 65_536
    /// Writes that have waited for one line and go to the home together.
    package var maxGroup = CacheWrite.maxOperations

    #if PLANTED_BUGS
        package var plantedBug: PlantedCacheBug?
    #endif

    package init(origin: UInt64, policy: EvictionPolicy = .leastRecentlyUsed) {
        self.origin = origin
        self.policy = policy
    }
}

/// A line between two stable states: IS, IM, SM, MW or MI_A (docs/CACHE.md). Lines of SM and MW are in the table too,
/// pinned, and are still read.
struct LineTransaction: Sendable {
    enum Kind: Sendable {
        case reading(number: UInt64)
        indirect case writing(CacheWrite)
        indirect case putting(gid: UInt64, PutReason, LineData)
    }

    var id: UInt64
    var kind: Kind
    /// When it was first sent in this reign; nil: not yet.
    var sentAt: Instant?
    /// Whether it was ever sent, in whichever reign.
    var wasSent = false
    var resendAt = Instant.distantFuture
    /// The highest number of an invalidation or recall since it was sent: a grant that is not above it answers, and
    /// installs nothing.
    var floor: UInt64 = 0
    /// IS_I: reads that come from now on must not be answered by the reply to this.
    var isInvalidated = false
    /// Reads that the reply answers.
    var readers: [CacheCall] = []
    /// The callers of the write's operations, in their order; nil once one was told that its time is up.
    var writers: [CacheCall?] = []
    /// What came later.
    var queue: [CacheCall] = []

    /// The callers of a write whose time is up. As long as nobody has heard of the write, their operations leave it:
    /// they are told that nothing was done.
    mutating func takeWriters(before now: Instant) -> [CacheCall] {
        let late = writers.indices.filter { writers[$0].map { $0.deadline <= now } ?? false }
        let calls = late.compactMap { writers[$0] }
        guard !wasSent, case .writing(var write) = kind else {
            for place in late { writers[place] = nil }
            return calls
        }
        var operations = write.earlier + [write.operation]
        for place in late.reversed() {
            writers.remove(at: place)
            operations.remove(at: place)
        }
        if let last = operations.popLast() {
            (write.earlier, write.operation) = (operations, last)
            kind = .writing(write)
        }
        return calls
    }
}

extension LineFlags {
    /// The owner may write without the log.
    static let silent = LineFlags(rawValue: 1 << 1)
    /// This node wrote the value.
    static let wroteLast = LineFlags(rawValue: 1 << 2)
    /// Its data is on the way to the home.
    static let flushing = LineFlags(rawValue: 1 << 3)
}
