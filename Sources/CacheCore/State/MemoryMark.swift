// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What a shard's replicas know of the memory (Redis) that they write back to.
package struct MemoryMark: Sendable, Equatable {
    /// The latest epoch whose fence the memory is known to have had; zero: none yet.
    package var epoch: UInt64
    /// Of the process that answered then; empty when it does not say.
    package var runID: [UInt8]

    package init(epoch: UInt64 = 0, runID: [UInt8] = []) {
        self.epoch = epoch
        self.runID = Array(runID.prefix(Self.runIDLimit))
    }

    /// What a leader concludes when it raises the fence.
    package enum Meeting: Sendable, Equatable {
        /// It is as the log says.
        case known
        /// It has all that was confirmed, and a fence that the log does not have yet.
        case raised
        /// What was confirmed may be gone.
        case changed
    }

    /// Compares what the memory said with what the log says of it. Every fence that is raised is logged, so any other
    /// than the one in the log means loss, or a leader that died before it could say what it had found: it may have
    /// found the memory emptied.
    /// - Parameters:
    ///   - previous: the fence that was found; nil: none.
    ///   - met: what stands there now.
    ///   - hasServed: the same leader has raised this fence before.
    package func meeting(_ met: MemoryMark, previous: UInt64?, hasServed: Bool) -> Meeting {
        guard let previous, previous == (hasServed ? met.epoch : epoch), runID == met.runID else { return .changed }
        return epoch == met.epoch ? .known : .raised
    }

    var hash: UInt64 { StableHash.combine(epoch, StableHash.fnv1a(runID)) }

    private static let runIDLimit = 256

    func encode(into writer: inout ByteWriter) {
        writer.varint(epoch)
        writer.blob(runID)
    }

    init(decoding reader: inout ByteReader) throws(DecodingError) {
        epoch = try reader.varint()
        runID = try reader.blob(limit: Self.runIDLimit, "run id")
    }
}
