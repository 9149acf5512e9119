import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// What is explored: who does what, and how much may go wrong. Everything that a budget allows may happen at any time.
struct SmallWorldPlan {
    struct Client {
        var node: Int
        var operations: [ClientOperation]

        init(_ node: Int, _ operations: [ClientOperation]) {
            self.node = node
            self.operations = operations
        }
    }

    var name: String
    var clients: [Client]
    /// Nodes that are members at the start; the home is on the first node.
    var members = [0, 1, 2]
    /// What has happened before anything is explored.
    var prologue: [SmallWorldEvent] = []
    /// What happens next, with nothing else in between.
    var opening: [SmallWorldEvent] = []
    var budget = SmallWorldBudget()
    var bug: PlantedCacheBug?
    /// The key's first value; nil: it is absent.
    var first: [UInt8]? = Array("0".utf8)
    var maxVerdicts = 64
    /// Clients whose calls never give up.
    var patient: [Int] = []

    init(_ name: String, _ clients: [Client], _ change: (inout SmallWorldPlan) -> Void = { _ in }) {
        self.name = name
        self.clients = clients
        change(&self)
    }
}

enum ClientOperation: Equatable {
    case read
    case write(CacheOperation, CacheDurability = .replicated, token: UInt64 = 0)

    static func set(_ text: String, _ mode: CacheDurability = .replicated, _ condition: CacheCondition = .always)
        -> ClientOperation
    {
        .write(.set(value: Array(text.utf8), expiry: .never, condition: condition, wantsOld: false), mode)
    }

    static func expiring(_ text: String, _ mode: CacheDurability = .replicated) -> ClientOperation {
        let expiry = ExpiryChange.after(SmallWorld.hourMilliseconds)
        return .write(.set(value: Array(text.utf8), expiry: expiry, condition: .always, wantsOld: false), mode)
    }

    /// With a lock's token.
    static func guarded(_ text: String, _ token: UInt64, _ mode: CacheDurability, _ condition: CacheCondition = .always)
        -> ClientOperation
    {
        .write(
            .set(value: Array(text.utf8), expiry: .never, condition: condition, wantsOld: false),
            mode,
            token: token
        )
    }

    static func delete(_ mode: CacheDurability = .replicated) -> ClientOperation {
        .write(.remove(condition: .always, wantsOld: false), mode)
    }

    static func increment(_ mode: CacheDurability = .replicated) -> ClientOperation { .write(.add(1), mode) }
}

struct SmallWorldBudget: Hashable {
    var evictions = 0
    var flushes = 0
    /// Connections that are made anew: what is under way on the old one may be lost, or come late.
    var breaks = 0
    var lapses = 0
    /// Leases that come back before they were noticed to be gone.
    var revivals = 0
    /// Removals and the joining that follows.
    var removals = 0
    var joins = 0
    var takeovers = 0
    var requestorTicks = 0
    var homeTicks = 0
    var timeouts = 0
    /// Proposals that the log does not take.
    var refusals = 0
    /// FLUSHALL.
    var clearings = 0
    /// Hours that pass.
    var hours = 0
    /// Nodes that end without warning, and come back with nothing but their journal.
    var crashes = 0
}

enum SmallWorldEvent: Equatable {
    case start(client: Int)
    /// The head of a connection, oldest connection first.
    case deliver(from: Int, to: Int, connection: Int)
    case loseOld(from: Int, to: Int)
    case reconnect(from: Int, to: Int)
    case apply(home: Int)
    case ask(home: Int)
    case confirm(home: Int)
    case tickHome(Int)
    case tick(node: Int)
    case hints(node: Int)
    case evict(node: Int)
    case flush(node: Int)
    case timeOut(node: Int)
    case lapse(node: Int)
    case revive(node: Int)
    case crash(node: Int)
    case remove(node: Int)
    case notice(node: Int)
    case join(node: Int)
    case grant(node: Int)
    case learn(node: Int)
    case takeOver(node: Int, kept: Int)
    case stop(home: Int)
    case refuse
    case clear(home: Int)
    case hour
}

/// Shared by the worlds that do not differ in it.
final class RequestorBox {
    var requestor: CacheRequestor
    var hash = WorldHash()

    init(_ requestor: consuming CacheRequestor) { self.requestor = requestor }

    func clone() -> RequestorBox { RequestorBox(requestor.clone()) }
}

struct WorldNode {
    var box: RequestorBox
    var incarnation: UInt64 = 1
    /// The clock says that the lease is good.
    var isLeased: Bool
    /// The node takes itself for a member: it has not looked at its clock since.
    var isGranted: Bool
    /// Of the view that it knows.
    var view: Int
    var isLate = false
    /// The latest that its disk has of what it wrote in mode `local`.
    var journal: LineData?
    var crashes = 0

    var unlogged: LineData? { box.requestor.unlogged(SmallWorld.key) }
}

struct WorldReplica {
    var state: CacheState
    /// The request table: answers by request, and what is acknowledged, by origin.
    var answers: [RequestID: CacheResponse] = [:]
    var floors: [UInt64: UInt64] = [:]
    var applied = 0
}

final class HomeBox {
    var home: CacheHome
    var hash = WorldHash()

    init(_ home: CacheHome) { self.home = home }
}

struct WorldHome {
    var node: Int
    var box: HomeBox
    var replica: WorldReplica
    var isStopped = false
    /// Asked while this was the leader, and not answered.
    var ticket: HomeTicket?
    /// Where the next entry goes; of a home that was deposed, in a log that will be forgotten.
    var end: Int
    /// Entries that will be committed, of a home that was deposed.
    var kept: Int?
}

struct LogEntry {
    var proposal: HomeProposal
    var stamp: UInt64
    var hash: UInt64
}

struct Envelope {
    enum Body {
        case request(HomeRequest)
        case notice(CacheNotice)
    }

    var member: CacheMember
    var epoch: CacheEpoch
    var body: Body
    var hash: UInt64
}

/// One direction between two nodes. More than one connection: all but the last are broken, and what is on them may
/// still arrive, or not.
struct Channel {
    var connections: [[Envelope]] = [[]]

    var isEmpty: Bool { connections.count == 1 && connections[0].isEmpty }
}

struct WorldClient {
    var next = 0
    /// What every answer has to be at least as new as.
    var floor: CacheVersion?
    var isWaiting: Bool { floor != nil }
    /// Names the running operation, for the log.
    var request: RequestID?
    /// Nobody else's operation is in that request.
    var isAlone = true
}

/// Three nodes, one key, one shard, and all that is on its way. A value: copies are cheap and share nothing that
/// changes.
struct SmallWorld {
    static let key = CacheKey("k")
    static let hourMilliseconds: Int64 = 3_600_000
    static let start = Instant(nanoseconds: 1_000_000_000_000)
    static let firstVersion = CacheVersion(index: 1)

    var plan: SmallWorldPlan
    var budget: SmallWorldBudget
    var nodes: [WorldNode] = []
    var homes: [WorldHome] = []
    var channels: [[Channel]]
    /// Of the leader; entry 0 stands for all before.
    var log: [LogEntry?] = [nil, nil]
    var views: [CacheView]
    var clients: [WorldClient]
    var refusesNext = false
    var hours: UInt64 = 0
    /// Nothing more goes wrong, and nobody waits for a turn.
    var isEnding = false
    var history = WorldHistory()
    var fault: String?
    /// For the report of a fault; nil: nobody wants one.
    var diary: [String]?

    static func id(_ node: Int) -> NodeID { NodeID(UInt64(node) + 1) }

    func member(_ node: Int) -> CacheMember {
        CacheMember(node: Self.id(node), incarnation: nodes[node].incarnation)
    }

    init(_ plan: SmallWorldPlan) {
        self.plan = plan
        budget = plan.budget
        channels = Array(repeating: Array(repeating: Channel(), count: 3), count: 3)
        clients = plan.clients.map { _ in WorldClient() }
        let members = plan.members.map { CacheMember(node: Self.id($0), incarnation: 1) }
        views = [CacheView(), CacheView(version: 1, members: members)]
        for node in 0..<3 {
            var configuration = RequestorConfiguration(origin: UInt64(node) + 1)
            configuration.resendInterval = .zero
            configuration.plantedBug = plan.bug
            let isMember = plan.members.contains(node)
            let box = RequestorBox(CacheRequestor(configuration: configuration))
            nodes.append(
                WorldNode(box: box, isLeased: isMember, isGranted: isMember, view: isMember ? 1 : 0)
            )
        }
        var state = CacheState(isWrittenBack: false)
        if let first = plan.first {
            var effects = CacheEffects()
            let set = CacheOperation.set(value: first, expiry: .never, condition: .always, wantsOld: false)
            _ = state.apply(.write(Self.key, set, data: nil, token: 0), index: LogIndex(1), stamp: 0, into: &effects)
            history.create(Self.firstVersion, first)
            history.finished = Self.firstVersion
        }
        addHome(0, WorldReplica(state: state, applied: 1))
        for node in 0..<3 { push(node) }
    }

    mutating func addHome(_ node: Int, _ replica: WorldReplica) {
        var configuration = HomeConfiguration()
        configuration.resendInterval = .zero
        configuration.patience = .milliseconds(UInt64(Self.hourMilliseconds) * 1_000)
        configuration.historyCells = 1
        configuration.maxVerdicts = plan.maxVerdicts
        configuration.plantedBug = plan.bug
        var home = CacheHome(configuration: configuration)
        home.lead(term: UInt64(homes.count) + 1)
        homes.append(WorldHome(node: node, box: HomeBox(home), replica: replica, end: log.count))
    }

    var leader: Int { homes.count - 1 }

    // MARK: Time

    func now(_ node: Int) -> Instant {
        let hour = Interval.milliseconds(UInt64(Self.hourMilliseconds))
        return Self.start + hour * hours + (nodes[node].isLate ? hour * 1_000_000 : .zero)
    }

    var homeNow: Instant { Self.start + Interval.milliseconds(UInt64(Self.hourMilliseconds)) * hours }

    var stamp: UInt64 { 1_000 + UInt64(Self.hourMilliseconds) * hours }

    var deadline: Instant { Self.start + .milliseconds(UInt64(Self.hourMilliseconds) * 1_000_000) }

    func isLeader(_ home: Int) -> Bool { home == leader }

    /// Whether the nodes' machines agree that the lease is good.
    func isValid(_ node: Int) -> Bool { nodes[node].isLeased && nodes[node].isGranted }
}

extension CacheRequestor {
    /// What this node alone knows of the key, in whatever state it is in.
    borrowing func unlogged(_ key: CacheKey) -> LineData? {
        var newest: LineData?
        if let slot = lines.find(key), isUnlogged(slot) { newest = data(slot, .zero) }
        let kept: LineData? =
            switch transactions[key]?.kind {
            case .putting(_, _, let data): data
            case .writing(let write): write.data
            case .reading, nil: nil
            }
        if let kept, newest.map({ $0.version < kept.version }) ?? true { newest = kept }
        return newest
    }
}
