// SPDX-License-Identifier: Apache-2.0

/// The messages beside a snapshot's state, ascending by id.
struct SnapshotBodies: Equatable {
    private(set) var ids: [UInt64] = []
    private(set) var bodies: [[UInt8]] = []

    mutating func append(_ id: UInt64, _ body: [UInt8]) {
        ids.append(id)
        bodies.append(body)
    }

    func find(_ id: UInt64) -> [UInt8]? {
        var low = 0
        var high = ids.count
        while low < high {
            let middle = (low + high) / 2
            if ids[middle] < id { low = middle + 1 } else { high = middle }
        }
        return low < ids.count && ids[low] == id ? bodies[low] : nil
    }
}
