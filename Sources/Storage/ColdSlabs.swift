// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Divides a growing range of bytes into pieces, like a slab allocator (Bonwick 1994): slabs of 64 KiB, each cut into
/// pieces of one size class. A slab whose pieces are all free serves any class again. Knows offsets only.
struct ColdSlabs: Sendable {
    static let slabBytes = 65_536
    /// The largest piece, in bytes.
    static let largest = slabBytes / 4

    private struct Slab: Sendable {
        var sizeClass = 0
        var used = 0
        /// Pieces at the end that were never taken.
        var fresh = 0
        var free: [UInt16] = []
        /// In the list of its class's slabs with a free piece; -1 when it is full or not in use.
        var place = -1
    }

    private var slabs: [Slab] = []
    /// Slabs of no class, by extent: the lowest extents are used first, so that the last may become free.
    private var vacant: [[Int32]] = []
    private var open: [[Int32]] = Array(repeating: [], count: Self.classes)
    private let slabsPerExtent: Int
    /// Bytes of the pieces taken.
    private(set) var usedBytes = 0

    /// `extentBytes` is a multiple of `slabBytes`.
    init(extentBytes: Int) {
        invariant(extentBytes > 0 && extentBytes % Self.slabBytes == 0, "an extent is whole slabs")
        slabsPerExtent = extentBytes / Self.slabBytes
    }

    var extents: Int { vacant.count }

    private static let classes = sizeClass(largest).index + 1

    /// Eight classes per doubling, so at most an eighth is lost; 32 bytes at least.
    private static func sizeClass(_ bytes: Int) -> (index: Int, size: Int) {
        let last = max(bytes, 32) - 1
        let shift = Int.bitWidth - last.leadingZeroBitCount - 4
        let units = (last >> shift) + 1
        return (shift * 8 + units, units << shift)
    }

    private static func size(ofClass index: Int) -> Int {
        // Sixteen units of one shift are eight of the next; the classes are numbered from the latter.
        let shift = (index - 9) / 8
        return (index - shift * 8) << shift
    }

    /// The offset of a piece of at least so many bytes, at most `largest`; nil when another extent is needed.
    mutating func take(_ bytes: Int) -> Int? {
        invariant(bytes <= Self.largest, "a piece larger than a slab holds")
        let (sizeClass, size) = Self.sizeClass(bytes)
        if open[sizeClass].isEmpty {
            guard let extent = vacant.firstIndex(where: { !$0.isEmpty }), let slab = vacant[extent].popLast() else {
                return nil
            }
            slabs[Int(slab)] = Slab(sizeClass: sizeClass, fresh: Self.slabBytes / size)
            enter(Int(slab))
        }
        let slab = Int(open[sizeClass][open[sizeClass].count - 1])
        let pieces = Self.slabBytes / size
        let piece: Int
        if let free = slabs[slab].free.popLast() {
            piece = Int(free)
        } else {
            piece = pieces - slabs[slab].fresh
            slabs[slab].fresh -= 1
        }
        slabs[slab].used += 1
        if slabs[slab].used == pieces { leave(slab) }
        usedBytes += size
        return slab * Self.slabBytes + piece * size
    }

    /// Gives back a piece that begins at this offset.
    mutating func giveBack(_ offset: Int) {
        let slab = offset / Self.slabBytes
        let size = Self.size(ofClass: slabs[slab].sizeClass)
        usedBytes -= size
        slabs[slab].used -= 1
        if slabs[slab].used == 0 {
            if slabs[slab].place >= 0 { leave(slab) }
            slabs[slab] = Slab()
            vacant[slab / slabsPerExtent].append(Int32(truncatingIfNeeded: slab))
            return
        }
        slabs[slab].free.append(UInt16(truncatingIfNeeded: offset % Self.slabBytes / size))
        if slabs[slab].place < 0 { enter(slab) }
    }

    private mutating func enter(_ slab: Int) {
        let sizeClass = slabs[slab].sizeClass
        slabs[slab].place = open[sizeClass].count
        open[sizeClass].append(Int32(truncatingIfNeeded: slab))
    }

    private mutating func leave(_ slab: Int) {
        let sizeClass = slabs[slab].sizeClass
        let place = slabs[slab].place
        slabs[slab].place = -1
        guard let moved = open[sizeClass].popLast(), Int(moved) != slab else { return }
        open[sizeClass][place] = moved
        slabs[Int(moved)].place = place
    }

    /// Adds an extent behind the others.
    mutating func grow() {
        let first = slabs.count
        slabs.append(contentsOf: repeatElement(Slab(), count: slabsPerExtent))
        vacant.append((first..<slabs.count).reversed().map { Int32(truncatingIfNeeded: $0) })
    }

    /// Takes away the last extent if nothing is in it or in the one before. One stays free, so that a backlog that
    /// comes and goes does not add and remove an extent each time.
    mutating func shrink() -> Bool {
        guard vacant.count >= 2, vacant.suffix(2).allSatisfy({ $0.count == slabsPerExtent }) else { return false }
        vacant.removeLast()
        slabs.removeLast(slabsPerExtent)
        return true
    }
}
