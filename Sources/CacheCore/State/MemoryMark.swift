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
