// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica
import Testing

@Suite("A replica that stops")
struct HaltTests {
    private let node = NodeID(1)

    /// Alone, with an entry in its log that it cannot understand, until it has tried to apply it.
    private func halted(
        by payload: [UInt8] = [0xff, 0xff]
    ) throws -> (replica: Replica, effects: ReplicaEffects, now: Instant) {
        let entry = Entry(term: Term(1), index: LogIndex(1), kind: .command, payload: payload)
        let recovered = RecoveredLog(hardState: HardState(term: Term(1)), snapshot: nil, entries: [entry])
        let configuration = ReplicaConfiguration(
            shard: .system,
            raft: RaftConfiguration(id: node, voters: [node]),
            limits: ShardLimits()
        )
        var now = Instant.zero
        var replica = try Replica(
            configuration: configuration,
            recovered: recovered,
            snapshot: nil,
            seed: 1,
            now: now
        )
        var all = ReplicaEffects()
        for _ in 0..<1_000 where replica.halted == nil {
            now = now + .milliseconds(10)
            var effects = ReplicaEffects()
            replica.step(.tick, now: now, into: &effects)
            replica.flush(now: now, into: &effects)
            if let mark = effects.persistMark { replica.step(.persisted(mark: mark), now: now, into: &effects) }
            if let change = effects.roleChange { all.roleChange = change }
        }
        return (replica, all, now)
    }

    @Test("it says that it leads no more, so that whoever asks here looks for another leader")
    func stepsDown() throws {
        let (replica, effects, _) = try halted()
        #expect(replica.halted?.contains("newer") == true)
        let change = try #require(effects.roleChange)
        #expect(change.role == .follower && change.leader == nil)
        #expect(!replica.isReadyLeader)
    }

    @Test("an entry or a snapshot in the format of an earlier version is not taken for a newer one's, nor skipped")
    func earlierFormat() throws {
        let replica = try halted(by: [1, 0]).replica
        #expect(replica.halted?.contains("earlier version") == true)
        #expect(replica.halted?.contains("newer") == false)
        #expect(replica.state.applied == .zero)
        var snapshot = ShardState(shard: .system, limits: ShardLimits()).encoded()
        _ = try ShardState(decoding: snapshot, shard: .system, limits: ShardLimits())
        snapshot[0] -= 1
        let error = #expect(throws: DecodingError.self) {
            _ = try ShardState(decoding: snapshot, shard: .system, limits: ShardLimits())
        }
        #expect(error?.remedy.contains("earlier version") == true)
    }

    @Test("it answers requests with its not leading, and nothing else")
    func answers() throws {
        var (replica, _, now) = try halted()
        var effects = ReplicaEffects()
        let release = Release(session: SessionID("s"), name: Name("a"))
        let routed = RoutedRequest(
            shard: .system,
            id: RequestID(origin: 2, number: 1),
            acknowledgedBelow: 1,
            acknowledged: [],
            request: .command(.release(release))
        )
        now = now + .milliseconds(1_000)
        replica.step(.tick, now: now, into: &effects)
        replica.step(.request(from: NodeID(2), routed), now: now, into: &effects)
        replica.flush(now: now, into: &effects)
        #expect(effects.replies.count == 1 && effects.replies[0].to == NodeID(2))
        if case .notLeader(nil) = effects.replies[0].reply {} else { Issue.record("\(effects.replies)") }
        #expect(effects.persist.isEmpty && effects.sendNow.isEmpty)
    }
}
