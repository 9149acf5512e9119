// SPDX-License-Identifier: Apache-2.0
import Glibc
package import Primitives
import Synchronization
package import Wire

/// A node's place on disk: bound to one node of one cluster, and open in one process at a time.
///
/// ```
/// LOCK        held by flock(2) while open; holds the process id
/// identity    who this is (`NodeIdentity`)
/// peers       in which life each peer was last met (`PeerMemory`)
/// wal/        log segments
/// journal/    what the cache has acknowledged in mode `local` and the log may lack (`Journal`)
/// snapshots/  one folder per shard (`SnapshotDirectory`)
/// ```
package final class DataDirectory: Sendable {
    package let path: String
    /// The lock ends with this descriptor, so with the process at the latest.
    private let lock: File
    private let currentIdentity: Mutex<NodeIdentity>
    package let peers: PeerMemory
    let files: FileSystem
    /// Apart from the directory, so that whoever names segments does not keep it locked.
    let segmentNames: BodySegmentNames

    package var identity: NodeIdentity { currentIdentity.withLock { $0 } }
    package var node: NodeID { identity.node }
    var logPath: String { path + "/wal" }
    var snapshotPath: String { path + "/snapshots" }
    var journalPath: String { path + "/journal" }
    private var identityPath: String { path + "/identity" }

    /// Opens the directory, making it when it does not exist, and begins a new incarnation.
    ///
    /// - Parameters:
    ///   - clusterID: sixteen bytes; nil takes what is on disk, or random ones for a new directory.
    ///   - shardCount: of the cluster; cannot change later.
    ///   - agreement: of the cluster; cannot change later by this. Nil for a node alone.
    ///   - acceptsLoss: peers that have met this node with newer data shall talk to it all the same.
    package static func open(
        path: String,
        nodeName: String,
        clusterID: [UInt8]? = nil,
        shardCount: UInt32,
        agreement: Agreement? = nil,
        acceptsLoss: Bool = false,
        calls: FileSystemCalls = .system
    ) throws(StorageError) -> DataDirectory {
        invariant(clusterID.map { $0.count == 16 } ?? true, "a cluster id has sixteen bytes")
        let files = FileSystem(calls)
        let lock = try io { () throws(FileFailure) in
            try files.makeDirectories(path)
            return try File(path + "/LOCK", O_RDWR | O_CREAT, calls: calls)
        }
        try take(lock)
        let identityPath = path + "/identity"
        let agreement = agreement ?? Agreement(names: [nodeName], copies: 1)
        var identity: NodeIdentity
        if let bytes = try io({ () throws(FileFailure) in try files.readFile(identityPath) }) {
            identity = try NodeIdentity(decoding: bytes, path: identityPath)
            try identity.expect(nodeName, clusterID, shardCount, agreement, path: identityPath)
        } else {
            identity = NodeIdentity(
                clusterID: clusterID ?? randomBytes(16),
                nodeName: nodeName,
                shardCount: shardCount,
                incarnation: 0,
                life: 0,
                agreement: agreement,
                hasLog: false
            )
        }
        identity.incarnation &+= 1
        // Nobody has opened a directory once for every second since 1970, so this is above what any peer has met.
        if acceptsLoss { identity.incarnation = max(identity.incarnation, UInt64(max(0, time(nil)))) }
        identity.life = randomBytes(8).reduce(0) { $0 << 8 | UInt64($1) }
        let bytes = identity.encoded()
        try io { () throws(FileFailure) in
            try files.replaceFile(identityPath, with: bytes)
            try files.makeDirectories(path + "/wal")
            try files.makeDirectories(path + "/snapshots")
            try files.makeDirectories(path + "/journal")
        }
        let peers = try PeerMemory(path: path + "/peers", files: files)
        return DataDirectory(path: path, lock: lock, identity: identity, peers: peers, files: files)
    }

    private init(
        path: String,
        lock: consuming File,
        identity: NodeIdentity,
        peers: PeerMemory,
        files: FileSystem
    ) {
        self.path = path
        self.peers = peers
        self.lock = lock
        self.currentIdentity = Mutex(identity)
        segmentNames = BodySegmentNames(node: identity.node.rawValue, life: identity.life)
        self.files = files
    }

    /// Notes that the log exists from now on.
    func noteLog() throws(StorageError) {
        var next = identity
        guard !next.hasLog else { return }
        next.hasLog = true
        let bytes = next.encoded()
        try io { () throws(FileFailure) in try files.replaceFile(identityPath, with: bytes) }
        currentIdentity.withLock { $0.hasLog = true }
    }

    /// A process that is just ending, or a child between fork and exec, may still hold the lock for a moment.
    private static let lockTries = 50

    private static func take(_ lock: borrowing File) throws(StorageError) {
        var tries = 0
        while flock(lock.descriptor, LOCK_EX | LOCK_NB) != 0 {
            switch errno {
            case EINTR:
                continue
            case EWOULDBLOCK where tries < lockTries:
                tries += 1
                usleep(10_000)
            case EWOULDBLOCK:
                let bytes = (try? lock.read(32, at: 0)) ?? []
                let text = String(decoding: bytes.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
                throw .locked(path: lock.path, pid: Int32(text))
            default:
                throw .io(FileFailure(operation: "lock", path: lock.path, code: errno))
            }
        }
        // For whoever finds the directory locked; the lock itself is the kernel's. Not vital, so a full disk that
        // cannot take it is no reason to refuse.
        try? lock.truncate(to: 0)
        try? lock.write(Array("\(getpid())\n".utf8), at: 0)
    }
}

extension NodeIdentity {
    fileprivate func expect(
        _ givenName: String,
        _ givenCluster: [UInt8]?,
        _ givenShards: UInt32,
        _ givenAgreement: Agreement,
        path: String
    ) throws(StorageError) {
        guard nodeName == givenName else {
            throw .wrongIdentity(path: path, what: "node", onDisk: nodeName, given: givenName)
        }
        if let givenCluster, givenCluster != clusterID {
            throw .wrongIdentity(
                path: path,
                what: "cluster",
                onDisk: Self.hex(clusterID),
                given: Self.hex(givenCluster)
            )
        }
        guard shardCount == givenShards else {
            throw .wrongIdentity(
                path: path,
                what: "a cluster with shard count",
                onDisk: "\(shardCount)",
                given: "\(givenShards)"
            )
        }
        guard agreement == givenAgreement else {
            throw .wrongIdentity(
                path: path,
                what: "a cluster of",
                onDisk: "\(agreement)",
                given: "\(givenAgreement)"
            )
        }
    }
}

extension DataDirectory {
    /// Whether the directory belongs to a node already; false when it does not exist.
    package static func isBound(_ path: String) -> Bool { access(path + "/identity", F_OK) == 0 }
}
