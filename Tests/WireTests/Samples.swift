// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore
import Replica

@testable import Wire

enum Samples {
    static let metadata = SnapshotMetadata(
        index: LogIndex(70),
        term: Term(3),
        voters: [NodeID(1), NodeID(.max)],
        size: 900,
        checksum: 0xdead_beef
    )

    static func entries(_ count: UInt64, from first: UInt64 = 8, bytes: Int = 20) -> [Entry] {
        (0..<count).map { offset in
            Entry(
                term: Term(2 + offset / 2),
                index: LogIndex(first + offset),
                kind: offset == 0 ? .noop : .command,
                payload: offset == 0 ? [] : Array(repeating: 7, count: bytes)
            )
        }
    }

    static let raft: [RaftMessage] = [
        .preVote(VoteRequest(term: Term(9), lastIndex: LogIndex(1 << 40), lastTerm: Term(8), transfer: false)),
        .preVoteReply(VoteReply(term: Term(9), granted: true)),
        .vote(VoteRequest(term: Term(9), lastIndex: LogIndex(7), lastTerm: Term(8), transfer: true)),
        .voteReply(VoteReply(term: Term(9), granted: false)),
        .append(
            AppendRequest(
                term: Term(9),
                previousIndex: LogIndex(7),
                previousTerm: Term(2),
                entries: entries(5),
                commit: LogIndex(6)
            )
        ),
        .append(
            AppendRequest(
                term: Term(9),
                previousIndex: LogIndex(7),
                previousTerm: Term(2),
                entries: [],
                commit: LogIndex(6)
            )
        ),
        .appendReply(
            AppendReply(term: Term(9), accepted: false, index: LogIndex(7), hintIndex: LogIndex(5), hintTerm: Term(1))
        ),
        .heartbeat(Heartbeat(term: Term(9), commit: LogIndex(7), round: 1 << 50)),
        .heartbeatReply(HeartbeatReply(term: Term(9), round: 300)),
        .heartbeatReply(HeartbeatReply(term: Term(9), round: 301, declinesLeadership: true)),
        .snapshotChunk(
            SnapshotChunk(
                term: Term(9),
                snapshot: metadata,
                offset: 100,
                bytes: Array(0...255),
                checksum: Checksum.crc32c(Array(0...255))
            )
        ),
        .snapshotReply(SnapshotReply(term: Term(9), index: LogIndex(70), nextOffset: 356, installed: false)),
        .timeoutNow(term: Term(9)),
    ]

    static let session = SessionID("payments/7f3k")
    static let id = RequestID(origin: .max, number: 77)
    static let edge = CycleEdge(
        session: session,
        label: "worker ü",
        name: "orders/1",
        mode: .exclusive,
        request: id
    )

    static let events: [LockEvent] = [
        .granted(namespace: "payments", name: "a", session: session, mode: .update, token: 900),
        .released(namespace: "payments", name: "a", session: session),
        .queued(namespace: "payments", name: "a", session: session, mode: .shared),
        .broken(namespace: "payments", name: "a", reason: "stuck"),
        .deadlock(namespace: "payments", cycle: [edge, edge], victim: id),
        .sessionOpened(session),
        .sessionEnded(session, .expired),
    ]

    static let requests: [Request] = [
        .command(.acquire(Acquire(session: session, items: [AcquireItem(name: "a", mode: .shared)], wait: .forever))),
        .command(.closeSession(session)),
        .query(.object(namespace: "payments", name: "a"), .readIndex),
        .query(.session(session), .lease),
        .renew(session),
    ]

    static let responses: [Response] = [
        .lock(.granted(tokens: [5, 6], holds: 1)),
        .lock(.refused(.deadlock([edge]))),
        .unavailable(.unknown, reason: "no quorum"),
        .unavailable(.notDone, reason: ""),
        .busy(reason: "64 MiB are uncommitted"),
    ]

    static var messages: [PeerMessage] {
        var all: [PeerMessage] = raft.map { .raft(ShardID(3), $0) }
        all.append(.digest(ShardID(.max), index: LogIndex(64), hash: .max))
        all += requests.map {
            .request(
                RoutedRequest(shard: ShardID(1), id: id, acknowledgedBelow: 70, acknowledged: [72, 75], request: $0)
            )
        }
        all += responses.map { .reply(ShardID(1), id, .answer($0)) }
        all.append(.reply(ShardID(1), id, .notLeader(hint: NodeID(4))))
        all.append(.reply(ShardID(1), id, .notLeader(hint: nil)))
        all.append(.reply(ShardID(1), id, .interrupted))
        let wait = OwnerWait(
            waiter: "w",
            holder: "h",
            holderSession: session,
            request: id,
            since: 12,
            priority: -4,
            edge: edge
        )
        all.append(.ownerWaits(ShardID(1), Term(3), [wait, wait]))
        all.append(.watch(ShardID(1), true))
        all.append(.events(ShardID(1), events))
        all.append(.confirmWaits(ShardID(0), query: 5, [id]))
        all.append(.waitsConfirmed(ShardID(0), query: .max, []))
        all.append(.abortWait(ShardID(0), id, cycle: [edge]))
        all.append(.flushLines(ticket: 1 << 20, within: 4_700))
        all.append(.linesFlushed(ticket: .max, CacheFlushReport(lines: 9, left: 2)))
        return all
    }

    static let hello = Hello(
        clusterID: Array(1...16),
        nodeName: "node-0",
        incarnation: 3,
        life: 77,
        agreement: 5,
        clientAddress: "10.0.0.1:7379",
        httpAddress: "10.0.0.1:8080",
        shardCount: 16
    )

    static let records: [LogRecord] = [
        .checkpoint([
            ShardCheckpoint(
                shard: ShardID(1),
                hardState: HardState(term: Term(4), vote: NodeID(2)),
                snapshot: metadata
            ),
            ShardCheckpoint(shard: ShardID(2), hardState: HardState(), snapshot: nil),
        ]),
        .hardState(ShardID(1), HardState(term: Term(5), vote: nil)),
        .entries(ShardID(1), entries(3)),
        .snapshot(ShardID(1), metadata),
        .reset(ShardID(2), metadata),
        .closed,
    ]
}
