// SPDX-License-Identifier: Apache-2.0
import Primitives
import Replica

/// A read, and a renewal, is answered from a state that holds everything committed anywhere before it was sent: the
/// commit index is the witness. Together with `ReplicaDigest`, which fixes the state at each index, this is
/// linearizability.
struct LinearizableReads {
    private var floors = LookupTable<RequestID, (shard: Int, floor: LogIndex)>()

    mutating func begins(_ id: RequestID, shard: Int, floor: LogIndex) { floors[id] = (shard, floor) }

    /// An answer leaves a replica that has applied up to `applied`.
    func answers(
        _ id: RequestID,
        shard: Int,
        applied: LogIndex,
        node: Int,
        _ violations: inout ViolationLog
    ) {
        guard let read = floors[id], read.shard == shard else { return }
        violations.expect(
            applied >= read.floor,
            .linearizableReads,
            "node \(node) answered read \(id) of shard \(shard) from entry \(applied), but "
                + "\(read.floor) was committed before it was sent"
        )
    }
}
