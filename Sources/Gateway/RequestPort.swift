// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import NIOCore
package import Primitives
package import Replica

/// One event loop's door to the cluster: what every front end submits requests through.
///
/// Confined to `eventLoop`: every call is made there and every completion arrives there.
package protocol RequestPort: AnyObject {
    var eventLoop: any EventLoop { get }

    /// Sends the request to its shard's leader, wherever that is, and retries harmlessly until it is answered or
    /// `timeout` has passed (a request that waits for a lock is not limited by it while the wait itself lasts).
    /// `completion` is called exactly once, possibly before this returns.
    /// A request whose text does not decide its shard is given `shard`.
    @discardableResult
    func submit(
        _ request: Request,
        to shard: ShardID?,
        timeout: Interval?,
        completion: @escaping (Response) -> Void
    ) -> RequestHandle

    var shardCount: Int { get }

    /// The caller has gone: a wait leaves the waiting line. The completion is still called.
    func cancel(_ handle: RequestHandle)

    /// Tells `sink` of every event of the namespace until it is cancelled. `names` empty means all of them.
    func watch(namespace: Name, names: [Name], sink: @escaping (LockEvent) -> Void) -> WatchHandle

    func unwatch(_ handle: WatchHandle)
}

extension RequestPort {
    @discardableResult
    package func submit(
        _ request: Request,
        timeout: Interval?,
        completion: @escaping (Response) -> Void
    ) -> RequestHandle {
        submit(request, to: nil, timeout: timeout, completion: completion)
    }
}

package struct RequestHandle: Hashable, Sendable {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

package struct WatchHandle: Hashable, Sendable {
    package let rawValue: UInt64

    package init(_ rawValue: UInt64) { self.rawValue = rawValue }
}

/// What the front ends may ask of the node itself; safe from any thread.
package protocol NodeAdministration: Sendable {
    func status() async -> NodeStatus
    /// Hands the leadership of one shard (or of all that this node leads) to `target`, or to the best other node.
    /// Returns the shards for which a hand-over was begun.
    func transferLeadership(shard: ShardID?, to target: String?) async throws(AdministrationError) -> [ShardID]
}

package enum AdministrationError: Error, Equatable, Sendable {
    case unknownNode(String)
    case unknownShard(ShardID)
    case notLeader(ShardID, leader: String?)
    /// The target keeps no copy of the shard, or of any that this node leads (nil), so it cannot lead it.
    case notReplica(ShardID?, target: String)
    /// The target is this node, which leads already.
    case leadsAlready(target: String)
}

package struct ShardStatus: Sendable, Equatable {
    package var shard: ShardID
    package var role: String
    package var term: UInt64
    package var leader: String?
    package var replicas: [String]
    package var firstIndex: UInt64
    package var lastIndex: UInt64
    package var commitIndex: UInt64
    package var appliedIndex: UInt64
    package var sessions: Int
    package var objects: Int

    package init(
        shard: ShardID,
        role: String,
        term: UInt64,
        leader: String?,
        replicas: [String],
        firstIndex: UInt64,
        lastIndex: UInt64,
        commitIndex: UInt64,
        appliedIndex: UInt64,
        sessions: Int,
        objects: Int
    ) {
        self.shard = shard
        self.role = role
        self.term = term
        self.leader = leader
        self.replicas = replicas
        self.firstIndex = firstIndex
        self.lastIndex = lastIndex
        self.commitIndex = commitIndex
        self.appliedIndex = appliedIndex
        self.sessions = sessions
        self.objects = objects
    }
}

package struct MemberStatus: Sendable, Equatable {
    package var name: String
    /// Where peers reach it, `host:port`.
    package var address: String
    /// Its client and HTTP addresses as it announced them; nil while it was never met.
    package var clientAddress: String?
    package var httpAddress: String?
    package var isSelf: Bool
    package var isConnected: Bool

    package init(
        name: String,
        address: String,
        clientAddress: String?,
        httpAddress: String?,
        isSelf: Bool,
        isConnected: Bool
    ) {
        self.name = name
        self.address = address
        self.clientAddress = clientAddress
        self.httpAddress = httpAddress
        self.isSelf = isSelf
        self.isConnected = isConnected
    }
}

package struct NodeStatus: Sendable, Equatable {
    package var name: String
    package var version: String
    package var clusterID: String
    package var incarnation: UInt64
    package var uptimeMilliseconds: UInt64
    package var dataDirectory: String
    package var members: [MemberStatus]
    package var shards: [ShardStatus]
    /// Empty when ready; otherwise what is missing, one sentence each.
    package var notReady: [String]

    package init(
        name: String,
        version: String,
        clusterID: String,
        incarnation: UInt64,
        uptimeMilliseconds: UInt64,
        dataDirectory: String,
        members: [MemberStatus],
        shards: [ShardStatus],
        notReady: [String]
    ) {
        self.name = name
        self.version = version
        self.clusterID = clusterID
        self.incarnation = incarnation
        self.uptimeMilliseconds = uptimeMilliseconds
        self.dataDirectory = dataDirectory
        self.members = members
        self.shards = shards
        self.notReady = notReady
    }
}
