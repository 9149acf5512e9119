// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// The home of one shard's lines: the directory, and the one place that all coherence passes through (docs/CACHE.md).
/// It lives in the memory of the shard's Raft leader and is rebuilt from nothing when leadership moves.
///
/// One transaction per line at a time; the rest of that line's requests wait in its queue. A write is finished when it
/// is applied and every other holder has acknowledged or is no member any more.
package struct CacheHome: Sendable {
    package enum Phase: Sendable, Equatable {
        /// Not leading, without a lease, or not yet confirmed by a quorum since.
        case idle
        /// Every member is told to drop what earlier homes granted.
        case synchronising
        case active
    }

    struct Synchronisation: Sendable {
        var since: Instant
        var resendAt: Instant
    }

    package let configuration: HomeConfiguration
    package internal(set) var phase = Phase.idle
    package internal(set) var epoch = CacheEpoch.none
    package internal(set) var statistics = HomeStatistics()

    // The node it lives on.
    var isLeading = false
    package internal(set) var view = CacheView()
    var own: CacheMember?
    var leaseEnd = Instant.zero

    var directory = LookupTable<CacheKey, DirectoryLine>()
    var history: LineHistory
    var verdicts: WriteVerdicts
    /// Transactions that wait for acknowledgements, by their numbers.
    var open = OrderedMap<UInt64, CacheKey>()
    /// Keys whose transactions are in the log and not applied, by log index; none stands for all keys (FLUSHALL).
    var proposed = LookupTable<UInt64, [CacheKey]>()
    /// Owners' data on its way into the log: what comes within one turn goes into one entry.
    var gathered: [CacheKeyData] = []
    var nextGid: UInt64 = 1

    /// Of this term, whatever the reign: nobody is granted anything before the earlier reigns' proposals have taken
    /// effect, or their changes would come unannounced.
    var lastPlaced: UInt64 = 0
    var lastApplied: UInt64 = 0

    /// Members that this reign has to tell of itself, as soon as a quorum has confirmed it since they were heard of: a
    /// home that was deposed in the meantime must not become a newcomer's home.
    var newcomers: [CacheMember] = []
    /// Members that have not confirmed this reign.
    var unsynchronised = OrderedMap<CacheMember, Synchronisation>()
    /// Data of earlier reigns on its way into the log; the reign begins after it.
    var restoring = 0
    /// What came before the reign began.
    var stalled: [(from: CacheMember, request: HomeRequest)] = []
    var expiries = TimerHeap<CacheKey>()
    var clearing = Clearing.no

    /// FLUSHALL.
    enum Clearing: Sendable {
        case no
        case proposed
        case applied
    }

    package init(configuration: HomeConfiguration = HomeConfiguration()) {
        self.configuration = configuration
        history = LineHistory(cells: configuration.historyCells)
        verdicts = WriteVerdicts(limit: configuration.maxVerdicts)
    }

    // MARK: Reigns

    /// Leadership is ready: all that earlier leaders committed is applied.
    package mutating func lead(term: UInt64) {
        isLeading = true
        epoch = CacheEpoch(term: term, round: 0)
        lastPlaced = 0
        lastApplied = 0
        rest()
    }

    package mutating func stopLeading() {
        isLeading = false
        rest()
    }

    /// What the node knows of its own lease and of the others. Its requestor has to be told first: what a home knows of
    /// the members, the members have to know, for the next home to hear of it.
    package mutating func membership(
        _ view: CacheView,
        own: CacheMember?,
        leaseEnd: Instant,
        now: Instant,
        into effects: inout HomeEffects
    ) {
        self.leaseEnd = leaseEnd
        if own != self.own {
            self.own = own
            rest()
        }
        learn(view, now, &effects)
    }

    /// Whether a quorum should be asked if this node still leads, for a reign to begin or for newcomers to be taken in.
    package func wantsConfirmation(now: Instant) -> Bool {
        isLeading && (phase == .idle || !newcomers.isEmpty) && hasLease(now)
    }

    /// Goes with the question and comes back with the answer.
    package var ticket: HomeTicket { HomeTicket(own: own, view: view.version) }

    func hasLease(_ now: Instant) -> Bool {
        guard let own, view.contains(own) else { return false }
        return now < leaseEnd
    }

    /// A quorum was asked after the ticket was taken, and has confirmed that this node leads. Only an answer to a
    /// question that was asked after the node's present lease was granted, and after the latest view was known, will
    /// do: the next home hears of what was known by then.
    package mutating func confirmed(_ ticket: HomeTicket, _ context: HomeContext, into effects: inout HomeEffects) {
        guard ticket == self.ticket, wantsConfirmation(now: context.now) else { return }
        if phase == .idle { return begin(context, &effects) }
        let waiting = newcomers
        newcomers = []
        for member in waiting { synchronise(member, context.now, &effects) }
    }

    private mutating func begin(_ context: HomeContext, _ effects: inout HomeEffects) {
        rest()
        epoch.round += 1
        phase = .synchronising
        statistics.reigns += 1
        for member in view.members { synchronise(member, context.now, &effects) }
        context.state.forEachExpiring { key, expiresAt in noteExpiry(key, expiresAt, context) }
        if leavesOut(.noSynchronisation) { unsynchronised = OrderedMap() }
        openIfReady(context, &effects)
    }

    mutating func synchronise(_ member: CacheMember, _ now: Instant, _ effects: inout HomeEffects) {
        unsynchronised[member] = Synchronisation(since: now, resendAt: now + configuration.resendInterval)
        effects.send.append((member, .synchronise(view: leavesOut(.hiddenViews) ? CacheView() : view)))
    }

    /// Forgets everything: whoever waits asks the next reign, with the same numbers.
    mutating func rest() {
        phase = .idle
        directory = LookupTable()
        history = LineHistory(cells: configuration.historyCells)
        verdicts = WriteVerdicts(limit: configuration.maxVerdicts)
        open = OrderedMap()
        proposed = LookupTable()
        gathered = []
        newcomers = []
        unsynchronised = OrderedMap()
        restoring = 0
        stalled = []
        expiries = TimerHeap()
        nextGid = 1
        clearing = .no
    }

    /// The memory has lost data: what was granted of it may be what another fill does not find any more. A new reign
    /// makes everybody drop it.
    package mutating func memoryWasLost() { rest() }

    package var isClearing: Bool { clearing != .no }

    /// FLUSHALL: a new reign, in which nobody has kept anything, begins once everything is removed.
    /// - Returns: false when there is no reign to do it in.
    package mutating func removeAll(_ context: HomeContext, into effects: inout HomeEffects) -> Bool {
        guard phase == .active, newcomers.isEmpty, hasLease(context.now) else { return false }
        begin(context, &effects)
        phase = .synchronising
        clearing = .proposed
        effects.proposals.append(HomeProposal(keys: [], id: nil, floor: 0, command: .removeAll))
        return true
    }

    var hasUnapplied: Bool { lastApplied < lastPlaced && !leavesOut(.earlyOpening) }

    func leavesOut(_ rule: PlantedCacheBug) -> Bool {
        #if PLANTED_BUGS
            configuration.plantedBug == rule
        #else
            false
        #endif
    }

    /// All members are synchronised and all that was proposed before, old data included, has taken effect.
    mutating func openIfReady(_ context: HomeContext, _ effects: inout HomeEffects) {
        guard phase == .synchronising, newcomers.isEmpty, unsynchronised.isEmpty, restoring == 0, clearing != .proposed,
            !hasUnapplied
        else { return }
        if clearing == .applied {
            clearing = .no
            effects.isCleared = true
        }
        phase = .active
        let waiting = stalled
        stalled = []
        for (from, request) in waiting { receive(from, request, context, into: &effects) }
    }
}

/// Counts since the process started.
package struct HomeStatistics: Sendable, Equatable {
    package var reigns: UInt64 = 0
    package var invalidations: UInt64 = 0
    package var acknowledged: UInt64 = 0
    package var expired: UInt64 = 0
    package var recalls: UInt64 = 0
    package var reads: UInt64 = 0
    package var fills: UInt64 = 0
    package var writeBacks: UInt64 = 0
    package var staleMessages: UInt64 = 0
    package var expirations: UInt64 = 0

    package init() {}
}
