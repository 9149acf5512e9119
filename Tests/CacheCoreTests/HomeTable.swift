// SPDX-License-Identifier: Apache-2.0
import Primitives

@testable import CacheCore

/// A home's side of one line, brought into each state of the table in docs/CACHE.md by the requests that lead there.
/// Node 1 asks; nodes 2 and 3 are the others.
struct HomeTable {
    enum State: String, CaseIterable {
        case nobody = "nobody"
        case shared = "shared by 2, 3"
        case sharedWithSender = "shared by 1, 2"
        case owned = "owned by 2"
        case ownedUnlogged = "2 owns, unlogged"
        case ownedBySender = "owned by 1"
        case busy = "busy"
    }

    enum Event: String, CaseIterable {
        case read, write
        /// A write that changes nothing.
        case failedWrite
        /// A clean line has left, with the number of its grant or with another.
        case hint, oldHint
        /// Unlogged data, with the version that follows the logged one or an earlier one.
        case put, oldPut
        case expire
        case otherEpochsAck
    }

    static let key = CacheKey("k")
    static let members = (1...3).map { CacheMember(node: NodeID(UInt64($0)), incarnation: 1) }

    private var home = CacheHome()
    private var state = CacheState(isWrittenBack: false)
    private var index: UInt64 = 0
    private var numbers: [UInt64] = [0, 0, 0]
    private var waiting: [(index: UInt64, command: CacheCommand)] = []
    private var asked: [(member: CacheMember, gid: UInt64, isKept: Bool)] = []
    private var gids: [CacheMember: UInt64] = [:]
    private var unloggedOwner: CacheMember?
    private var isExpired = false
    private(set) var output: [String] = []

    private var context: HomeContext { HomeContext(state: state, now: .zero, stamp: isExpired ? 9_000 : 1_000) }

    init(_ wanted: State) {
        let view = CacheView(version: 1, members: Self.members)
        var effects = HomeEffects()
        home.lead(term: 1)
        home.membership(view, own: Self.members[0], leaseEnd: .distantFuture, now: .zero, into: &effects)
        home.confirmed(home.ticket, context, into: &effects)
        for member in Self.members { home.receive(member, .synchronised(view: view), context, into: &effects) }
        reach(wanted)
        output = []
    }

    private mutating func reach(_ wanted: State) {
        // Written once by a node that writes no more, so that there is a value and no owner.
        write(3, .replicated)
        settle()
        switch wanted {
        case .nobody: break
        case .shared:
            for node in [2, 3] { request(node, .read(Self.key, number: next(node))) }
            settle()
        case .sharedWithSender:
            for node in [1, 2] { request(node, .read(Self.key, number: next(node))) }
            settle()
        case .owned: own(2, .replicated)
        case .ownedUnlogged:
            own(2, .volatile)
            unloggedOwner = Self.members[1]
        case .ownedBySender: own(1, .replicated)
        case .busy: write(2, .replicated)
        }
    }

    private mutating func own(_ node: Int, _ durability: CacheDurability) {
        for _ in 0..<2 {
            write(node, durability)
            settle()
        }
    }

    private mutating func next(_ node: Int) -> UInt64 {
        numbers[node - 1] += 1
        return numbers[node - 1]
    }

    // MARK: Events

    mutating func carryOut(_ event: Event) {
        let sender = Self.members[0]
        let gid = gids[sender] ?? 0
        let current = state.current(Self.key)?.version ?? .zero
        let follows = LineData(value: [9], version: CacheVersion(index: current.index, minor: 1))
        let earlier = LineData(value: [9], version: CacheVersion(index: current.index - 1, minor: 1))
        switch event {
        case .read: request(1, .read(Self.key, number: next(1)))
        case .write: write(1, .replicated)
        case .failedWrite: write(1, .replicated, .absent)
        case .hint: request(1, .hints([(Self.key, gid)]))
        case .oldHint: request(1, .hints([(Self.key, gid &- 1)]))
        case .put: request(1, .put(Self.key, gid: gid, .evict, follows))
        case .oldPut: request(1, .put(Self.key, gid: gid, .evict, earlier))
        case .expire:
            isExpired = true
            request(1, .read(Self.key, number: next(1)))
        case .otherEpochsAck: request(1, .ack(Self.key, gid: 10_000, data: nil, isKept: false))
        }
    }

    private mutating func write(_ node: Int, _ durability: CacheDurability, _ condition: CacheCondition = .always) {
        let write = CacheWrite(
            id: RequestID(origin: UInt64(node), number: next(node)),
            floor: 0,
            operation: .set(value: [UInt8(node)], expiry: .after(5_000), condition: condition, wantsOld: false),
            durability: durability,
            held: .nothing,
            gid: gids[Self.members[node - 1]] ?? 0
        )
        request(node, .write(Self.key, write))
    }

    private mutating func request(_ node: Int, _ request: HomeRequest) {
        step { $0.receive(Self.members[node - 1], request, $1, into: &$2) }
    }

    /// The members obey, and the log is applied, until nothing is under way.
    mutating func settle() {
        while !asked.isEmpty || !waiting.isEmpty {
            if !asked.isEmpty {
                let (member, gid, isKept) = asked.removeFirst()
                var data: LineData?
                if member == unloggedOwner, let version = state.current(Self.key)?.version {
                    data = LineData(value: [8], version: CacheVersion(index: version.index, minor: 1))
                    unloggedOwner = nil
                }
                gids[member] = isKept ? gid : nil
                step { $0.receive(member, .ack(Self.key, gid: gid, data: data, isKept: isKept), $1, into: &$2) }
            } else {
                let (index, command) = waiting.removeFirst()
                var changes = CacheEffects()
                let stamp = context.stamp
                let response = state.apply(command, index: LogIndex(index), stamp: stamp, into: &changes)
                step { $0.applied(index, response, $1, into: &$2) }
            }
        }
    }

    private mutating func step(_ body: (inout CacheHome, HomeContext, inout HomeEffects) -> Void) {
        var effects = HomeEffects()
        body(&home, context, &effects)
        home.proposeGathered(into: &effects)
        while !effects.isEmpty {
            let wanted = effects
            effects.removeAll()
            for (member, notice) in wanted.send { note(member, notice) }
            for proposal in wanted.proposals {
                index += 1
                waiting.append((index, proposal.command))
                output.append("log \(name(proposal.command))")
                home.placed(proposal, at: index, context, into: &effects)
            }
            home.proposeGathered(into: &effects)
        }
    }

    // MARK: What is seen

    private mutating func note(_ member: CacheMember, _ notice: CacheNotice) {
        let text: String
        switch notice {
        case .data(_, _, let grant, let data):
            gids[member] = grant.state == .invalid ? nil : grant.gid
            text = "\(data.value.map { "\($0[0])" } ?? "nothing") as \(letter(grant.state))"
        case .written(_, _, let grant, let answer, _, _, _):
            if grant.state != .invalid { gids[member] = grant.gid }
            text = "\(answer == .done ? "done" : "same") as \(letter(grant.state))"
        case .invalidate(_, let gid):
            asked.append((member, gid, false))
            text = "invalidate"
        case .recall(_, let gid, let toShared, _):
            asked.append((member, gid, toShared))
            text = toShared ? "recall to shared" : "recall"
        case .putDone(_, _, _, let isStored): text = isStored ? "put done" : "put too late"
        case .synchronise: text = "synchronise"
        case .refused: text = "refused"
        }
        // One message to several.
        if let last = output.last, last.hasPrefix("\(text) → ") {
            output[output.count - 1] = "\(last), \(member.node.rawValue)"
        } else {
            output.append("\(text) → \(member.node.rawValue)")
        }
    }

    private func letter(_ state: LineState) -> String {
        switch state {
        case .invalid: "I"
        case .shared: "S"
        case .exclusive: "E"
        case .modified: "M"
        }
    }

    private func name(_ command: CacheCommand) -> String {
        switch command {
        case .write(_, _, _, let data, _): data == nil ? "write" : "write on data"
        case .persist: "data"
        case .expire: "expiry"
        default: "\(command)"
        }
    }

    var line: String {
        guard let line = home.directory[Self.key] else { return "nobody" }
        if line.transaction != nil { return line.queue.isEmpty ? "busy" : "busy, \(line.queue.count) wait" }
        let holders = line.holders.map { "\($0.member.node.rawValue)" }.sorted().joined(separator: ", ")
        return holders.isEmpty ? "nobody" : "\(line.isExclusive ? "owned" : "shared") by \(holders)"
    }

    mutating func takeOutput() -> String {
        defer { output = [] }
        return output.joined(separator: "; ")
    }
}
