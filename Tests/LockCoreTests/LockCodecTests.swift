// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Testing

@Suite("Lock codecs")
struct LockCodecTests {
    static let cycle = [
        CycleEdge(
            session: SessionID("n/s1"),
            label: "alpha",
            name: "a",
            mode: .exclusive,
            request: RequestID(origin: 1, number: 2)
        ),
        CycleEdge(
            session: SessionID("s2"),
            label: "",
            name: "β",
            mode: .shared,
            request: RequestID(origin: .max, number: .max)
        ),
    ]
    static let holder = HolderView(
        session: SessionID("s1"),
        label: "l",
        mode: .update,
        token: .max,
        count: 3,
        ageMilliseconds: 9
    )
    static let waiter = WaiterView(
        session: SessionID("s1"),
        label: "l",
        mode: .update,
        request: RequestID(origin: 3, number: 4),
        isConversion: true,
        ageMilliseconds: 9
    )
    static let object = ObjectView(
        namespace: "n",
        name: "o",
        kind: .semaphore,
        limit: 7,
        value: [1, 2],
        holders: [holder],
        waiters: [waiter],
        isDelayed: true,
        holderCount: 70,
        waiterCount: 80
    )
    static let session = SessionView(
        id: SessionID("s1"),
        label: "l",
        owner: "o",
        ttlMilliseconds: 1,
        lockDelayMilliseconds: 2,
        held: ["a"],
        waiting: ["b", "c"],
        ageMilliseconds: 3,
        remainingMilliseconds: 4,
        heldCount: 5
    )

    static let commands: [LockCommand] = [
        .openSession(
            OpenSession(id: SessionID("n/s"), ttlMilliseconds: 5_000, label: "l", owner: "o", lockDelayMilliseconds: 9)
        ),
        .closeSession(SessionID("s")),
        .acquire(Acquire(session: SessionID("s"), items: [AcquireItem(name: "a", mode: .shared)])),
        .acquire(
            Acquire(
                session: SessionID("s"),
                kind: .election,
                items: [AcquireItem(name: "a", mode: .update), AcquireItem(name: "b", mode: .exclusive)],
                wait: .milliseconds(.max),
                priority: .min,
                permits: 3,
                limit: 9,
                value: [0, 255],
                sequence: 12
            )
        ),
        .convert(Convert(session: SessionID("s"), name: "a", mode: .update, wait: .forever, sequence: .max)),
        .release(Release(session: SessionID("s"), kind: .semaphore, name: "a", permits: 2, sequence: nil)),
        .breakLock(namespace: "n", name: "a", reason: "because"),
        .cancel(RequestID(origin: 1, number: 2)),
        .expireSession(SessionID("s"), opened: LogIndex(4), term: Term(5)),
        .timeoutWait(RequestID(origin: 1, number: 2), term: Term(5)),
        .endLockDelay(namespace: "n", name: "a", began: LogIndex(3), term: Term(5)),
        .abortWait(RequestID(origin: 1, number: 2), cycle: cycle),
    ]
    static let queries: [LockQuery] = [
        .session(SessionID("n/s")), .sessions(namespace: "n", cursor: 3, limit: -1), .object(namespace: "n", name: "a"),
        .list(namespace: "n", prefix: "p", cursor: .max, limit: 100), .check(namespace: "n", name: "a", token: 3),
        .electionLeader(namespace: "n", name: "a"),
    ]
    static let responses: [LockResponse] = [
        .sessionOpened(SessionID("s"), ttlMilliseconds: 1), .sessionClosed(locksReleased: 2),
        .granted(tokens: [1, .max], holds: 3), .notAcquired(holders: [holder]), .converted(token: 4),
        .released(left: 5),
        .broken(holders: 6), .cancelled(found: true), .noted, .renewed(milliseconds: 7), .session(session),
        .session(nil),
        .sessions([session, session], cursor: 8), .object(object), .object(nil), .list([object], cursor: 9),
        .check(true),
        .electionLeader(SessionID("s"), value: [1], token: 2), .noElectionLeader, .refused(.noSession(SessionID("s"))),
        .refused(.sessionExists(SessionID("s"))), .refused(.notHeld("a")), .refused(.reentry("r")),
        .refused(.deadlock(cycle)), .refused(.limit("l")), .refused(.wrongKind("a", .election)),
        .refused(.invalid("i")),
        .refused(.cancelled), .refused(.sessionEnded(.expired)), .refused(.staleSequence),
    ]
    static let events: [LockEvent] = [
        .granted(namespace: "n", name: "a", session: SessionID("s"), mode: .shared, token: 3),
        .released(namespace: "n", name: "a", session: SessionID("s")),
        .queued(namespace: "n", name: "a", session: SessionID("s"), mode: .update),
        .broken(namespace: "n", name: "a", reason: "r"),
        .deadlock(namespace: "n", cycle: cycle, victim: RequestID(origin: 1, number: 2)),
        .sessionOpened(SessionID("s")),
        .sessionEnded(SessionID("s"), .closed),
    ]
    static let wait = OwnerWait(
        waiter: "w",
        holder: "h",
        holderSession: SessionID("n/s"),
        request: RequestID(origin: 1, number: 2),
        since: 3,
        priority: -4,
        edge: cycle[0]
    )

    /// Reads back what was written, and refuses every shortened form of it.
    private func check<Value: Equatable>(
        _ value: Value,
        _ encode: (Value, inout ByteWriter) -> Void,
        _ decode: (inout ByteReader) throws(DecodingError) -> Value
    ) {
        var writer = ByteWriter()
        encode(value, &writer)
        var reader = ByteReader(writer.bytes)
        #expect((try? decode(&reader)) == value)
        #expect(reader.isAtEnd)
        for end in 0..<writer.count {
            var short = ByteReader(writer.bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try decode(&short) }
        }
        #expect(throws: DecodingError.self) {
            var reader = ByteReader([0xee] + writer.bytes.dropFirst())
            let other = try decode(&reader)
            if other != value { throw DecodingError.trailingBytes }
        }
    }

    @Test("commands", arguments: commands) func command(_ value: LockCommand) {
        check(value, { $0.encode(into: &$1) }, { (reader) throws(DecodingError) in try LockCommand(decoding: &reader) })
    }

    @Test("queries", arguments: queries) func query(_ value: LockQuery) {
        check(value, { $0.encode(into: &$1) }, { (reader) throws(DecodingError) in try LockQuery(decoding: &reader) })
    }

    @Test("responses", arguments: responses) func response(_ value: LockResponse) {
        check(
            value,
            { $0.encode(into: &$1) },
            { (reader) throws(DecodingError) in try LockResponse(decoding: &reader) }
        )
    }

    @Test("events", arguments: events) func event(_ value: LockEvent) {
        check(value, { $0.encode(into: &$1) }, { (reader) throws(DecodingError) in try LockEvent(decoding: &reader) })
    }

    @Test("owner waits") func ownerWait() {
        var writer = ByteWriter()
        Self.wait.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        #expect((try? OwnerWait(decoding: &reader)) == Self.wait)
        for end in 0..<writer.count {
            var short = ByteReader(writer.bytes, from: 0, to: end)
            #expect(throws: DecodingError.self) { try OwnerWait(decoding: &short) }
        }
    }

    @Test("random bytes decode or throw, and what decodes can be applied") func garbage() {
        var random = SeededRandom(seed: 11)
        var world = LockWorld()
        for session in ["s", "n/s"] { world.open(session) }
        world.checksSnapshots = false
        var samples = Self.commands.map { command in
            var writer = ByteWriter()
            command.encode(into: &writer)
            return writer.bytes
        }
        samples.append([])
        for round in 0..<4_000 {
            var bytes = samples[round % samples.count]
            if bytes.isEmpty { bytes = (0..<random.below(40)).map { _ in UInt8(truncatingIfNeeded: random.next()) } }
            for _ in 0..<(1 + random.below(3)) where !bytes.isEmpty {
                bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            var reader = ByteReader(bytes)
            if let command = try? LockCommand(decoding: &reader) { world.apply(command) }
            reader = ByteReader(bytes)
            _ = try? LockResponse(decoding: &reader)
            reader = ByteReader(bytes)
            _ = try? LockQuery(decoding: &reader)
            reader = ByteReader(bytes)
            _ = try? LockEvent(decoding: &reader)
            reader = ByteReader(bytes)
            _ = try? OwnerWait(decoding: &reader)
        }
    }

    @Test("a damaged snapshot throws or is a lawful state") func damagedSnapshot() {
        var duel = LockDuel(names: ["a", "b", "c", "p", "q"])
        var random = SeededRandom(seed: 3)
        duel.world.checksSnapshots = false
        for session in ["s1", "s2", "s3", "s4", "s5"] { _ = duel.play(.open(session)) }
        for _ in 0..<200 {
            _ = duel.play(
                LockDifferentialTests.move(&random, ["s1", "s2", "s3", "s4", "s5"], ["a", "b", "c"], duel)
            )
        }
        let whole = duel.world.encoded()
        for end in stride(from: 0, to: whole.count, by: 7) {
            var reader = ByteReader(whole, from: 0, to: end)
            #expect(throws: DecodingError.self) { try LockState(decoding: &reader) }
        }
        for _ in 0..<3_000 {
            var bytes = whole
            for _ in 0..<(1 + random.below(2)) {
                bytes[Int(random.below(UInt64(bytes.count)))] = UInt8(truncatingIfNeeded: random.next())
            }
            var reader = ByteReader(bytes)
            guard var state = try? LockState(decoding: &reader) else { continue }
            // Lawful: it goes on working.
            var effects = LockEffects()
            for session in ["s1", "s2", "s3", "s4", "s5"] {
                let context = ApplyContext(
                    index: LogIndex(1_000),
                    term: Term(1),
                    stamp: 0,
                    request: RequestID(origin: 9, number: 9)
                )
                state.apply(.closeSession(SessionID(session)), context, into: &effects)
            }
            #expect(effects.responses.count >= 5)
        }
    }

    @Test("namespaces decide the shard") func namespaces() {
        #expect(LockCommand.closeSession(SessionID("pay/s1")).namespace == "pay")
        #expect(LockCommand.closeSession(SessionID("s1")).namespace == .defaultNamespace)
        #expect(LockCommand.breakLock(namespace: "n", name: "a", reason: "").namespace == "n")
        #expect(LockCommand.cancel(RequestID(origin: 1, number: 1)).namespace == .defaultNamespace)
        #expect(LockQuery.session(SessionID("pay/s1")).namespace == "pay")
        #expect(LockQuery.check(namespace: "n", name: "a", token: 1).namespace == "n")
    }
}
