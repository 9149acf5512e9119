// SPDX-License-Identifier: Apache-2.0
import Primitives
import Synchronization

/// Where the bodies of one shard's messages are, as far as they have left the log. Any thread may use it.
package final class BodyStore: Sendable {
    private let current: Mutex<BodyManifest>

    package init(_ manifest: BodyManifest = .empty) { current = Mutex(manifest) }

    package var manifest: BodyManifest { current.withLock { $0 } }

    /// Takes the segments of a newer snapshot, which must be complete on disk, before the log lets go of the bodies
    /// that are in them now. Segments that it drops stay where they are until `removeOlder`. No I/O.
    package func adopt(_ manifest: BodyManifest) {
        let old = current.withLock { current in
            let old = current
            current = manifest
            return old
        }
        // Segments that end here close their files, and not under the lock.
        _ = consume old
    }

    /// The block in whose range the id lies; nil when there is none. No I/O.
    package func block(containing id: UInt64) -> BodyBlockRef? {
        current.withLock { current in
            let segments = current.segments
            var low = 0
            var high = segments.count
            while low < high {
                let middle = low + (high - low) / 2
                if segments[middle].info.lastID < id { low = middle + 1 } else { high = middle }
            }
            guard low < segments.count, let block = segments[low].index.block(containing: id) else { return nil }
            return BodyBlockRef(segment: segments[low], position: block)
        }
    }

    /// Reads and checks a block. Works also for a segment that a newer manifest has dropped since.
    ///
    /// - Throws: `.damaged` when the bytes on disk are not those that were written, `.io`.
    package func read(_ block: BodyBlockRef) throws(StorageError) -> BodyBlock {
        try block.segment.readBlock(block.position)
    }
}

/// One block of one segment. Keeps the segment readable, and so its room on disk taken: for a cache use `key`.
package struct BodyBlockRef: Hashable, Sendable {
    let segment: BodySegment
    let position: Int

    package var key: BodyBlockKey { BodyBlockKey(segment: segment.info.name, position: position) }

    /// Of the block on disk, in bytes.
    package var length: Int { segment.index.blocks[position].length }
    package var firstID: UInt64 { segment.index.blocks[position].firstID }
    package var lastID: UInt64 { segment.index.blocks[position].lastID }

    package static func == (left: BodyBlockRef, right: BodyBlockRef) -> Bool {
        left.position == right.position && left.segment === right.segment
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(segment))
        hasher.combine(position)
    }
}

/// Names a block for all time: its bytes never change.
package struct BodyBlockKey: Hashable, Sendable {
    package var segment: BodySegmentName
    package var position: Int
}
