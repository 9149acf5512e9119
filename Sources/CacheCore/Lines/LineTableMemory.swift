// SPDX-License-Identifier: Apache-2.0

/// What a table of lines keeps.
struct LineTableMemory: ~Copyable {
    let policy: EvictionPolicy
    var slabs: LineSlabs
    var index: LineIndex
    var ghosts: LineGhosts
    var small = LineList()
    var main = LineList()
    /// First the line that has been dirty for the longest.
    var dirty = LineList()
    /// Goes up when a block moves, which ends the validity of slots.
    var edition: UInt32 = 0
    /// No stamp is greater.
    var lastTick: UInt64 = 0
    var tallies = LineTallies()

    init(_ policy: EvictionPolicy) {
        self.policy = policy
        slabs = LineSlabs()
        index = LineIndex()
        ghosts = LineGhosts()
    }

    init(copying other: borrowing LineTableMemory) {
        policy = other.policy
        slabs = LineSlabs(copying: other.slabs)
        index = LineIndex(copying: other.index)
        ghosts = LineGhosts(copying: other.ghosts)
        small = other.small
        main = other.main
        dirty = other.dirty
        edition = other.edition
        lastTick = other.lastTick
        tallies = other.tallies
    }
}

struct LineTallies {
    var bytes = 0
    var smallBytes = 0
    var dirtyBytes = 0
    var dirtyCount = 0
    var shared = 0
    var exclusive = 0
    var modified = 0
}

extension LineTable {
    package var policy: EvictionPolicy { memory.pointee.policy }

    var slabs: LineSlabs {
        @inline(__always) _read { yield memory.pointee.slabs }
        @inline(__always) nonmutating _modify { yield &memory.pointee.slabs }
    }

    var index: LineIndex {
        @inline(__always) _read { yield memory.pointee.index }
        @inline(__always) nonmutating _modify { yield &memory.pointee.index }
    }

    var ghosts: LineGhosts {
        @inline(__always) _read { yield memory.pointee.ghosts }
        @inline(__always) nonmutating _modify { yield &memory.pointee.ghosts }
    }

    var small: LineList {
        @inline(__always) get { memory.pointee.small }
        @inline(__always) nonmutating set { memory.pointee.small = newValue }
    }

    var main: LineList {
        @inline(__always) get { memory.pointee.main }
        @inline(__always) nonmutating set { memory.pointee.main = newValue }
    }

    var dirty: LineList {
        @inline(__always) get { memory.pointee.dirty }
        @inline(__always) nonmutating set { memory.pointee.dirty = newValue }
    }

    var edition: UInt32 {
        @inline(__always) get { memory.pointee.edition }
        @inline(__always) nonmutating set { memory.pointee.edition = newValue }
    }

    var lastTick: UInt64 {
        @inline(__always) get { memory.pointee.lastTick }
        @inline(__always) nonmutating set { memory.pointee.lastTick = newValue }
    }

    var tallies: LineTallies {
        @inline(__always) _read { yield memory.pointee.tallies }
        @inline(__always) nonmutating _modify { yield &memory.pointee.tallies }
    }
}
