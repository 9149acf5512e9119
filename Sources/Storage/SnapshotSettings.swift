// SPDX-License-Identifier: Apache-2.0

/// How snapshots and message bodies are laid out on disk. Sizes are in bytes.
package struct SnapshotSettings: Sendable {
    /// A body segment is ended before it would grow past this.
    package var segmentBytes = 64 << 20
    /// Bodies are checked, read and cached in blocks up to this; a longer body has a block to itself.
    package var blockBytes = 64 << 10
    /// Adjacent segments that are smaller than this together may be made one.
    package var mergeBytes = 8 << 20
    /// The most that one system call writes.
    package var pieceBytes = 1 << 20
    /// A file is synced each time this much was written to it, so that the log's syncs on the same disk do not wait
    /// behind a whole snapshot.
    package var syncBytes = 4 << 20
    /// Segment files kept open for reading. Those of removed segments still in use come on top.
    package var openFiles = 128
    /// A transfer's files are let go when nobody has read from them for so long.
    package var readerIdleNanoseconds: UInt64 = 60_000_000_000
    /// The same once a newer snapshot of the shard is being read.
    package var supersededIdleNanoseconds: UInt64 = 5_000_000_000
    /// Monotonic, in nanoseconds.
    package var clock: @Sendable () -> UInt64 = { MonotonicClock.nanoseconds() }

    package init() {}
}
