// SPDX-License-Identifier: Apache-2.0
package import Primitives
import Synchronization

package struct LogSettings: Sendable {
    /// Bytes of one segment. Two exist at least: the one in use and the next, prepared ahead.
    package var segmentBytes = 32 << 20
    /// Write zeros over the whole of a new segment instead of only reserving its blocks. A sync into blocks that were
    /// reserved but never written must also record that they are written now, which doubles its time.
    package var zeroFill = true
    /// Prepare the next segment, and remove dead ones, on a thread of the log's own. Off: within the calls.
    package var preparesInBackground = true
    /// Told of every sync that had something to write: its time in nanoseconds (write included) and its bytes.
    package var onSync: (@Sendable (_ nanoseconds: UInt64, _ bytes: Int) -> Void)?

    package init() {}
}

package enum DiskSpace: Equatable, Sendable {
    case available
    /// The next segment cannot be prepared. What the current one still holds is the reserve: refuse new work, and
    /// let what ends work (releases, expiries) through. It is tried again twice a second.
    case full(FileFailure)
}

/// A shard that keeps the oldest segment alive.
package struct SegmentPin: Equatable, Sendable {
    package var shard: ShardID
    /// A snapshot at this index or later lets go of the segment.
    package var upTo: LogIndex
}

package struct LogStatus: Equatable, Sendable {
    /// Segments with a place in the log, the current one included.
    package var segments = 0
    package var space = DiskSpace.available
    /// Who holds the oldest segment; empty while there is only one.
    package var pins: [SegmentPin] = []
    /// Sequence of the last record known to be durable.
    package var durableSequence: UInt64 = 0
    /// What the last sync took, its write included; 0 before the first.
    package var lastSyncNanoseconds: UInt64 = 0
    package var failed = false
}

/// The log's state for other threads to read.
package final class LogStatusBoard: Sendable {
    private let status = Mutex(LogStatus())

    package var current: LogStatus { status.withLock { $0 } }

    func update(_ body: (inout LogStatus) -> Void) {
        status.withLock { value in body(&value) }
    }
}
