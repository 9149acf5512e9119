// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

/// One owner, one key, and a memory that has let go of it.
private struct OwnerWorld {
    static let owner = CacheMember(node: NodeID(1), incarnation: 1)
    static let other = CacheMember(node: NodeID(2), incarnation: 1)
    static let key = CacheKey("k")

    var home = CacheHome()
    var state = CacheState(isWrittenBack: true)
    var index: UInt64 = 0
    var number: UInt64 = 0
    var notices: [CacheNotice] = []
    var fills: [(key: CacheKey, number: UInt64)] = []

    var context: HomeContext { HomeContext(state: state, now: .zero, stamp: 1_000) }

    init() {
        var effects = HomeEffects()
        let view = CacheView(version: 1, members: [Self.owner, Self.other])
        home.lead(term: 1)
        home.membership(view, own: Self.owner, leaseEnd: .distantFuture, now: .zero, into: &effects)
        home.confirmed(home.ticket, context, into: &effects)
        for member in view.members { home.receive(member, .synchronised(view: view), context, into: &effects) }
    }

    /// Everything that the home proposes is applied at once.
    mutating func step(_ body: (inout CacheHome, HomeContext, inout HomeEffects) -> Void) {
        var effects = HomeEffects()
        body(&home, context, &effects)
        home.proposeGathered(into: &effects)
        while !effects.isEmpty {
            let wanted = effects
            effects.removeAll()
            notices += wanted.send.map(\.notice)
            fills += wanted.fills
            for proposal in wanted.proposals {
                index += 1
                home.placed(proposal, at: index, context, into: &effects)
                let response = apply(proposal.command)
                home.applied(index, response, context, into: &effects)
            }
            home.proposeGathered(into: &effects)
        }
    }

    mutating func apply(_ command: CacheCommand) -> CacheResponse {
        var changes = CacheEffects()
        return state.apply(command, index: LogIndex(index), stamp: 1_000, into: &changes)
    }

    mutating func write(_ text: String, _ held: HeldLine = .nothing) -> (grant: LineGrant, CacheVersion)? {
        number += 1
        let write = CacheWrite(
            id: RequestID(origin: 1, number: number),
            floor: 0,
            operation: .set(value: Array(text.utf8), expiry: .after(4_000), condition: .always, wantsOld: false),
            durability: .volatile,
            held: held
        )
        step { $0.receive(Self.owner, .write(Self.key, write), $1, into: &$2) }
        answerFills()
        guard case .written(_, _, let grant, _, let version, _, _)? = notices.last else { return nil }
        return (grant, version)
    }

    /// The memory has nothing: it has expired there.
    mutating func answerFills() {
        while let fill = fills.popLast() {
            let current = state.current(found: nil, stamp: 1_000)
            step { $0.filled(fill.key, number: fill.number, current, $1, into: &$2) }
        }
    }

    /// The memory has confirmed it, and the log needs it no longer. Then another key is removed, and with it rises the
    /// version of all that are absent.
    mutating func letGo(_ version: CacheVersion) {
        let entry = CacheKeyVersion(Self.key, version)
        index += 1
        _ = apply(.flushed([entry]))
        index += 1
        _ = apply(.released([entry]))
        index += 1
        let removal = CacheOperation.remove(condition: .always, wantsOld: false)
        let removed = LineData(value: [1], version: CacheVersion(index: 1), remaining: nil)
        _ = apply(.write(CacheKey("x"), removal, data: removed, token: 0))
    }
}

@Suite("What an owner wrote on a value that the memory has let expire")
struct MemoryOwnerTests {
    private func owned() throws -> (OwnerWorld, LineGrant, LineData) {
        var world = OwnerWorld()
        _ = world.write("1")
        let second = world.write("2")
        let (grant, version) = try #require(second)
        #expect(grant.state == .modified && grant.isSilent)
        world.letGo(version)
        #expect(!world.state.holds(OwnerWorld.key))
        let data = LineData(value: [9], version: CacheVersion(index: version.index, minor: 1))
        return (world, grant, data)
    }

    @Test("it is saved when the owner saves it, and counts from then on")
    func flushed() throws {
        var (world, grant, data) = try owned()
        world.step { $0.receive(OwnerWorld.owner, .put(OwnerWorld.key, gid: grant.gid, .flush, data), $1, into: &$2) }
        world.answerFills()
        guard case .putDone(_, _, data.version, isStored: true)? = world.notices.last else {
            Issue.record("\(world.notices)")
            return
        }
        #expect(world.state.current(OwnerWorld.key)?.value == [9])
        // It comes twice.
        world.step { $0.receive(OwnerWorld.owner, .put(OwnerWorld.key, gid: grant.gid, .flush, data), $1, into: &$2) }
        #expect(world.state.current(OwnerWorld.key)?.version == data.version)
    }

    @Test("it is not saved with the number of an earlier grant, nor by one that owns nothing")
    func others() throws {
        var (world, grant, data) = try owned()
        for (from, gid) in [(OwnerWorld.owner, grant.gid - 1), (OwnerWorld.other, grant.gid)] {
            world.step { $0.receive(from, .put(OwnerWorld.key, gid: gid, .flush, data), $1, into: &$2) }
            world.answerFills()
            #expect(world.state.current(OwnerWorld.key) == nil)
        }
    }
}
