// SPDX-License-Identifier: Apache-2.0
package import LockCore
package import Primitives
package import RaftCore

package struct ReplicaConfiguration: Sendable {
    package var shard: ShardID
    package var raft: RaftConfiguration
    package var limits: LockLimits
    /// A snapshot is due when the log in memory is larger than this many bytes.
    package var snapshotLogBytes = 16 << 20
    /// Every so many entries the replicas compare their state.
    package var digestInterval: UInt64 = 256
    /// Requests of all callers that wait for an answer from this replica.
    package var maxCallers = 1 << 17

    package init(shard: ShardID, raft: RaftConfiguration, limits: LockLimits = LockLimits()) {
        self.shard = shard
        self.raft = raft
        self.limits = limits
    }
}
