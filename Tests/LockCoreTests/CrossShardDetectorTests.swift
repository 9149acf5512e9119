// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Testing

/// Two shards with a lock world each, and the detector between them.
struct Shards {
    var worlds = [LockWorld(), LockWorld()]
    var detector = CrossShardDetector()
    var effects = CrossShardDetector.Effects()
    var now = Instant.zero
    var term = Term(1)

    static func shard(_ at: Int) -> ShardID { ShardID(UInt16(at)) }

    mutating func report(_ at: Int) {
        detector.replace(shard: Self.shard(at), term: term, waits: worlds[at].state.ownerWaits())
    }

    /// Lets the detector search; what it asks about.
    mutating func search() -> [(shard: ShardID, query: UInt64, requests: [RequestID])] {
        effects.removeAll()
        detector.step(now: now, into: &effects)
        return effects.queries
    }

    mutating func answer(_ query: (shard: ShardID, query: UInt64, requests: [RequestID])) {
        let standing = worlds[Int(query.shard.rawValue)].state.standing(query.requests)
        detector.answered(
            shard: query.shard,
            query: query.query,
            standing: standing,
            now: now,
            into: &effects
        )
    }

    /// w1 and w2 each hold a lock in one shard and wait for the other's in the other.
    static func deadlocked(priority: Int64 = 0) -> Shards {
        var shards = Shards()
        for at in [0, 1] {
            for owner in ["w1", "w2"] { shards.worlds[at].open("n\(at)/\(owner)", owner: owner) }
        }
        shards.worlds[0].acquire("n0/w1", "a")
        shards.worlds[1].acquire("n1/w2", "b")
        shards.worlds[1].stamp = 5_000
        shards.worlds[0].acquire("n0/w2", "a", wait: .forever, priority: priority)
        shards.worlds[1].acquire("n1/w1", "b", wait: .forever)
        return shards
    }
}

@Suite("Cross-shard deadlock detection")
struct CrossShardDetectorTests {
    @Test("a cycle over two shards is confirmed by both before the youngest wait is aborted, once")
    func cycle() throws {
        var shards = Shards.deadlocked()
        shards.report(0)
        #expect(shards.search().isEmpty)
        shards.report(1)
        let queries = shards.search()
        #expect(queries.map(\.shard) == [ShardID(0), ShardID(1)])
        shards.answer(queries[0])
        #expect(shards.effects.aborts.isEmpty)
        shards.answer(queries[1])
        let abort = try #require(shards.effects.aborts.first)
        #expect(abort.shard == ShardID(1) && abort.cycle.count == 2)
        #expect(Set(abort.cycle.map(\.session.name.text)) == ["n0/w2", "n1/w1"])

        // Until the victim's shard has reported again, the same cycle is not aborted twice.
        shards.report(0)
        shards.report(1)
        #expect(shards.search().isEmpty)
        let ended = shards.worlds[1].apply(.abortWait(abort.request, cycle: abort.cycle))
        #expect(ended.responses.contains { $0.response.cycle?.count == 2 })
        shards.report(1)
        #expect(shards.search().isEmpty)
        #expect(shards.worlds[0].state.waiterCount == 1 && shards.worlds[1].state.waiterCount == 0)
    }

    @Test("the lowest priority is the victim before the youngest")
    func priority() throws {
        var shards = Shards.deadlocked(priority: -1)
        shards.report(0)
        shards.report(1)
        for query in shards.search() { shards.answer(query) }
        #expect(try #require(shards.effects.aborts.first).shard == ShardID(0))
    }

    @Test("a cycle of reports from different moments that never existed is not confirmed")
    func phantom() {
        // w2 waits for w1 in shard 0 and is reported. Then w1 lets go, w2 gets the lock and its wait ends, and only
        // then w1 begins to wait for w2 in shard 1.
        var shards = Shards()
        for at in [0, 1] {
            for owner in ["w1", "w2", "w3"] { shards.worlds[at].open("n\(at)/\(owner)", owner: owner) }
        }
        shards.worlds[0].acquire("n0/w1", "a", .shared)
        shards.worlds[0].acquire("n0/w3", "a", .shared)
        shards.worlds[1].acquire("n1/w2", "b")
        shards.worlds[0].acquire("n0/w2", "a", wait: .forever)
        shards.report(0)
        shards.worlds[0].release("n0/w1", "a")
        shards.worlds[1].acquire("n1/w1", "b", wait: .forever)
        shards.report(1)
        let queries = shards.search()
        #expect(queries.count == 2)
        // The request still waits, but for w3 now: its shard reports that before it answers.
        shards.report(0)
        for query in queries { shards.answer(query) }
        #expect(shards.effects.aborts.isEmpty)
        #expect(shards.search().isEmpty)
    }

    @Test("an answer without one of the requests drops the cycle; a shard's new leader starts over")
    func changes() {
        var shards = Shards.deadlocked()
        shards.report(0)
        shards.report(1)
        var queries = shards.search()
        shards.detector.answered(
            shard: queries[0].shard,
            query: queries[0].query,
            standing: [],
            now: shards.now,
            into: &shards.effects
        )
        shards.answer(queries[1])
        #expect(shards.effects.aborts.isEmpty)

        queries = shards.search()
        #expect(queries.count == 2)
        shards.term = Term(2)
        shards.report(0)
        for query in queries { shards.answer(query) }
        #expect(shards.effects.aborts.isEmpty)
        // A report of the deposed leader is ignored.
        shards.detector.replace(shard: ShardID(0), term: Term(1), waits: [])
        #expect(shards.search().count == 2)
        shards.detector.clear(shard: ShardID(1))
        #expect(shards.search().isEmpty)
    }

    @Test("a lost query and a lost abort are made up for")
    func losses() {
        var shards = Shards.deadlocked()
        shards.report(0)
        shards.report(1)
        #expect(shards.search().count == 2)
        #expect(shards.search().isEmpty)
        shards.now = shards.now + .milliseconds(1_000)
        let queries = shards.search()
        #expect(queries.count == 2)
        for query in queries { shards.answer(query) }
        #expect(shards.effects.aborts.count == 1)
        #expect(shards.search().isEmpty)
        shards.now = shards.now + .milliseconds(5_000)
        #expect(shards.search().count == 2)
    }

    @Test("an owner's sessions in one namespace are agents of their own")
    func sameNamespace() {
        var shards = Shards()
        shards.worlds[0].open("n/a1", owner: "w1")
        shards.worlds[0].open("n/a2", owner: "w1")
        shards.worlds[0].open("n/b1", owner: "w2")
        shards.worlds[0].acquire("n/a1", "x")
        shards.worlds[0].acquire("n/b1", "y")
        shards.worlds[0].acquire("n/a2", "y", wait: .forever)
        shards.worlds[0].acquire("n/b1", "x", wait: .forever)
        shards.report(0)
        #expect(shards.search().isEmpty)
    }

    @Test("a wait through a session without an owner counts; the version says when to report")
    func transitive() {
        var world = LockWorld()
        world.open("n/a", owner: "w1")
        world.open("n/p")
        world.open("n/b", owner: "w2")
        let quiet = world.state.ownerWaitsVersion
        world.acquire("n/b", "x")
        world.acquire("n/p", "y")
        world.acquire("n/p", "x", wait: .forever)
        #expect(world.state.ownerWaitsVersion == quiet)
        world.acquire("n/a", "y", wait: .forever)
        let changed = world.state.ownerWaitsVersion
        #expect(changed != quiet)
        let waits = world.state.ownerWaits()
        #expect(waits.map(\.holder) == ["w2"] && waits.map(\.waiter) == ["w1"])
        #expect(waits[0].edge.name == "y" && waits[0].through.map(\.session) == [SessionID("n/p")])
        world.acquire("n/b", "z")
        #expect(world.state.ownerWaitsVersion == changed)
        world.release("n/b", "x")
        #expect(world.state.ownerWaitsVersion != changed)
        #expect(world.state.ownerWaits().isEmpty)
    }

    @Test("a semaphore's holder is named only when it is needed")
    func semaphores() {
        var world = LockWorld()
        for session in ["a", "b", "c"] { world.open("n/\(session)", owner: "w-\(session)") }
        world.permits("n/a", "p", 2, of: 3)
        world.permits("n/b", "p", 1, of: 3)
        world.permits("n/c", "p", 1, of: 3, wait: .forever)
        #expect(world.state.ownerWaits().isEmpty)
        world.apply(.cancel(LockWorld.request(world.index)))
        world.permits("n/c", "p", 2, of: 3, wait: .forever)
        #expect(world.state.ownerWaits().map(\.holder) == ["w-a"])
    }
}
