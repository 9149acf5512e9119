// SPDX-License-Identifier: Apache-2.0
import Gateway
import LockCore
import NIOCore
import Primitives
import Replica
import Synchronization

/// A request port without a cluster: `answer` decides at once, or leaves the request waiting when it returns nil.
final class FakePort: RequestPort {
    struct Submitted {
        var handle: RequestHandle
        var request: Request
        var shard: ShardID?
        var completion: ((Response) -> Void)?
    }

    struct Watching {
        var handle: WatchHandle
        var namespace: Name
        var names: [Name]
        var sink: (LockEvent) -> Void
    }

    let eventLoop: any EventLoop
    var answer: (Request) -> Response?
    var submitted: [Submitted] = []
    var cancelled: [RequestHandle] = []
    var watching: [Watching] = []
    private var nextWatch: UInt64 = 0

    init(eventLoop: any EventLoop, answer: @escaping (Request) -> Response? = { _ in nil }) {
        self.eventLoop = eventLoop
        self.answer = answer
    }

    var requests: [Request] { submitted.map(\.request) }

    func submit(
        _ request: Request,
        to shard: ShardID?,
        timeout: Interval?,
        completion: @escaping (Response) -> Void
    ) -> RequestHandle {
        let handle = RequestHandle(UInt64(submitted.count))
        submitted.append(Submitted(handle: handle, request: request, shard: shard, completion: completion))
        if let response = answer(request) { complete(submitted.count - 1, response) }
        return handle
    }

    var shardCount = 16

    func complete(_ index: Int, _ response: Response) {
        guard let completion = submitted[index].completion else { return }
        submitted[index].completion = nil
        completion(response)
    }

    func cancel(_ handle: RequestHandle) {
        cancelled.append(handle)
        complete(Int(handle.rawValue), .lock(.refused(.cancelled)))
    }

    func watch(namespace: Name, names: [Name], sink: @escaping (LockEvent) -> Void) -> WatchHandle {
        nextWatch += 1
        let handle = WatchHandle(nextWatch)
        watching.append(Watching(handle: handle, namespace: namespace, names: names, sink: sink))
        return handle
    }

    func unwatch(_ handle: WatchHandle) { watching.removeAll { $0.handle == handle } }

    func tell(_ event: LockEvent) { for watcher in watching { watcher.sink(event) } }
}

struct FakeAdministration: NodeAdministration {
    var notReady: [String] = []

    func status() async -> NodeStatus {
        NodeStatus(
            name: "node-0",
            version: "0.1.0",
            clusterID: "c1",
            incarnation: 1,
            uptimeMilliseconds: 5_000,
            dataDirectory: "/data",
            members: [
                MemberStatus(
                    name: "node-0",
                    address: "a:7702",
                    clientAddress: nil,
                    httpAddress: nil,
                    isSelf: true,
                    isConnected: false
                )
            ],
            shards: [
                ShardStatus(
                    shard: ShardID(0),
                    role: "leader",
                    term: 2,
                    leader: "node-0",
                    replicas: ["node-0"],
                    firstIndex: 1,
                    lastIndex: 9,
                    commitIndex: 9,
                    appliedIndex: 9,
                    sessions: 0,
                    objects: 0
                )
            ],
            notReady: notReady
        )
    }

    func transferLeadership(shard: ShardID?, to target: String?) async throws(AdministrationError) -> [ShardID] {
        switch target {
        case "node-9": throw .unknownNode("node-9")
        case "node-8": throw .notReplica(nil, target: "node-8")
        case "node-0": throw .leadsAlready(target: "node-0")
        default: break
        }
        if let shard, shard.rawValue > 0 { throw .notLeader(shard, leader: "node-1") }
        return [ShardID(0)]
    }
}

/// Counts what it is told.
final class CountingObserver: GatewayObserver {
    struct Counts: Sendable {
        var opened = 0
        var closed = 0
        var finished: [CommandFamily] = []
        var errors: [String] = []
    }

    let counts = Mutex(Counts())

    func connectionOpened(_ frontEnd: FrontEnd) { counts.withLock { $0.opened += 1 } }
    func connectionClosed(_ frontEnd: FrontEnd) { counts.withLock { $0.closed += 1 } }
    func commandFinished(_ family: CommandFamily, frontEnd: FrontEnd, seconds: Double) {
        counts.withLock { $0.finished.append(family) }
    }
    func errorReplied(_ frontEnd: FrontEnd, code: String) { counts.withLock { $0.errors.append(code) } }
}
