// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a home remembers of lines nobody may hold: who wrote last, and whether several nodes read it. A fixed number of
/// cells, each of the latest key that fell on it; forgetting costs a message, never correctness.
struct LineHistory: Sendable {
    private struct Cell: Sendable {
        var hash: UInt64 = 0
        var writer: NodeID?
        var isShared = false
    }

    private var cells: [Cell]

    init(cells count: Int) { cells = Array(repeating: Cell(), count: max(1, count)) }

    private func place(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash % UInt64(cells.count)) }

    func lastWriter(_ hash: UInt64) -> NodeID? {
        let cell = cells[place(hash)]
        return cell.hash == hash ? cell.writer : nil
    }

    func isShared(_ hash: UInt64) -> Bool {
        let cell = cells[place(hash)]
        return cell.hash == hash && cell.isShared
    }

    mutating func noteWrite(_ hash: UInt64, by node: NodeID) {
        cells[place(hash)] = Cell(hash: hash, writer: node, isShared: false)
    }

    /// A second node read the line while the first held it alone.
    mutating func noteShared(_ hash: UInt64) {
        let place = place(hash)
        let writer = cells[place].hash == hash ? cells[place].writer : nil
        cells[place] = Cell(hash: hash, writer: writer, isShared: true)
    }
}
