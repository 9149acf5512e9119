// SPDX-License-Identifier: Apache-2.0
import Primitives

/// Finds blocks by the hash of their key. Open addressing over groups of twelve entries, each group one cache line: a
/// byte of every entry's hash, a count of entries that belong here or before and had to go further, and the blocks. So
/// a lookup costs one miss here and one in the block, and the hash is not kept: growth asks for it again.
///
/// Growth is spread over the changes that follow it: the new groups are cleared first, then filled.
struct LineIndex: ~Copyable {
    private static let groupBytes = 64
    private static let perGroup = 12
    /// Entries per group at which the index grows: three quarters, by a quarter. A fuller one would look up absent keys
    /// slowly after many removals, since entries that had to go further stay where they are.
    private static let grownAt = 9
    private static let clearedAtOnce = 64
    private static let movedAtOnce = 4

    private struct Groups {
        var base: UnsafeMutableRawPointer
        var count: Int

        static func allocate(_ count: Int) -> Groups {
            Groups(base: .allocate(byteCount: count * groupBytes, alignment: groupBytes), count: count)
        }

        @inline(__always) func group(_ number: Int) -> Group { Group(base: base + number &* groupBytes) }

        @inline(__always) func home(_ mixed: UInt64) -> Int {
            Int(truncatingIfNeeded: ((mixed &>> 32) &* UInt64(truncatingIfNeeded: count)) &>> 32)
        }

        @inline(__always) func after(_ number: Int) -> Int { number &+ 1 == count ? 0 : number &+ 1 }

        func clear(_ range: Range<Int>) {
            (base + range.lowerBound * groupBytes).initializeMemory(
                as: UInt8.self,
                repeating: 0,
                count: range.count * groupBytes
            )
        }
    }

    private struct Group {
        let base: UnsafeMutableRawPointer

        /// Sets the highest bit of each byte that is equal to the tag, and clears all others. The shorter form that
        /// lets a borrow through would sometimes take a vacant place for one with tag 1.
        @inline(__always) static func matches(_ word: UInt64, _ tag: UInt8) -> UInt64 {
            let difference = word ^ (0x0101_0101_0101_0101 &* UInt64(tag))
            let carried = (difference & 0x7f7f_7f7f_7f7f_7f7f) &+ 0x7f7f_7f7f_7f7f_7f7f
            return ~(carried | difference) & 0x8080_8080_8080_8080
        }

        @inline(__always) var low: UInt64 { base.load(as: UInt64.self) }
        /// Tags 8 to 11; the rest of the word is the count of overflow.
        @inline(__always) var high: UInt64 { base.load(fromByteOffset: 8, as: UInt64.self) }

        var overflow: UInt32 {
            @inline(__always) get { base.load(fromByteOffset: 12, as: UInt32.self) }
            nonmutating set { base.storeBytes(of: newValue, toByteOffset: 12, as: UInt32.self) }
        }

        @inline(__always) func reference(_ place: Int) -> UInt32 {
            base.load(fromByteOffset: 16 &+ place &* 4, as: UInt32.self)
        }

        @inline(__always) func tag(_ place: Int) -> UInt8 { base.load(fromByteOffset: place, as: UInt8.self) }

        func set(_ place: Int, _ tag: UInt8, _ reference: UInt32) {
            base.storeBytes(of: tag, toByteOffset: place, as: UInt8.self)
            base.storeBytes(of: reference, toByteOffset: 16 + place * 4, as: UInt32.self)
        }

        var vacancy: Int? {
            let inLow = Self.matches(low, 0)
            if inLow != 0 { return inLow.trailingZeroBitCount >> 3 }
            let inHigh = Self.matches(high, 0) & 0xffff_ffff
            return inHigh == 0 ? nil : 8 + inHigh.trailingZeroBitCount >> 3
        }
    }

    private enum Growth: Equatable {
        case none
        /// So many groups of `other`, the next ones, are cleared.
        case clearing(Int)
        /// So many groups of `other`, the old ones, are moved.
        case moving(Int)
    }

    private var current: Groups
    private var other: Groups?
    private var growth = Growth.none
    private var growsAt: Int
    private(set) var count = 0

    init() {
        current = .allocate(1)
        current.clear(0..<1)
        growsAt = Self.limit(1)
    }

    init(copying source: borrowing LineIndex) {
        current = Self.copy(source.current)
        other = source.other.map(Self.copy)
        growth = source.growth
        growsAt = source.growsAt
        count = source.count
    }

    deinit {
        current.base.deallocate()
        other?.base.deallocate()
    }

    /// What is taken from the allocator.
    var heldBytes: Int { (current.count + (other?.count ?? 0)) * Self.groupBytes }

    /// How many groups a look-up of an absent key goes through, over all keys.
    var meanWalk: Double {
        var walked = 0
        for home in 0..<current.count {
            var number = home
            repeat {
                walked += 1
                if current.group(number).overflow == 0 { break }
                number = current.after(number)
            } while number != home
        }
        return Double(walked) / Double(current.count)
    }

    /// A key's hash as it is used here: the high half chooses the group, byte 3 is the tag.
    @inline(__always) static func mix(_ hash: UInt64) -> UInt64 { hash &* 0x9e37_79b9_7f4a_7c15 }

    @inline(__always) private static func tag(_ mixed: UInt64) -> UInt8 {
        let tag = UInt8(truncatingIfNeeded: mixed &>> 24)
        return tag == 0 ? 1 : tag
    }

    // MARK: Look-up

    @inline(__always) func find(_ hash: UInt64, where matches: (UInt32) -> Bool) -> UInt32? {
        let mixed = Self.mix(hash)
        if let found = Self.find(mixed, in: current, where: matches) { return found }
        guard case .moving = growth, let other else { return nil }
        return Self.find(mixed, in: other, where: matches)
    }

    @inline(__always) private static func find(
        _ mixed: UInt64,
        in groups: Groups,
        where matches: (UInt32) -> Bool
    ) -> UInt32? {
        let tag = tag(mixed)
        let home = groups.home(mixed)
        var number = home
        while true {
            let group = groups.group(number)
            let high = group.high
            // Both words in one, so that where in the group an entry stands decides no branch: bits 0, 8, … are the
            // first eight entries, bits 4, 12, … the others.
            var candidates =
                Group.matches(group.low, tag) &>> 7 | (Group.matches(high, tag) & 0x8080_8080) &>> 3
            while candidates != 0 {
                let bit = candidates.trailingZeroBitCount
                let reference = group.reference(bit &>> 3 &+ (bit & 4) &<< 1)
                if matches(reference) { return reference }
                candidates &= candidates &- 1
            }
            if high &>> 32 == 0 { return nil }
            number = groups.after(number)
            if number == home { return nil }
        }
    }

    // MARK: Changes

    /// The block's key must not be in the index.
    /// - Parameter hashOf: the hash of the key in any block of the index.
    mutating func insert(_ hash: UInt64, _ reference: UInt32, hashOf: (UInt32) -> UInt64) {
        Self.place(Self.mix(hash), reference, in: current)
        count += 1
        if growth != .none {
            advance(hashOf)
        } else if count > growsAt {
            begin(current.count < 64 ? current.count * 2 : current.count + current.count / 4)
            advance(hashOf)
        }
    }

    /// The block must be in the index.
    mutating func remove(_ hash: UInt64, _ reference: UInt32, hashOf: (UInt32) -> UInt64) {
        let found = locate(Self.mix(hash), reference)
        found.groups.group(found.number).set(found.place, 0, 0)
        var number = found.groups.home(Self.mix(hash))
        while number != found.number {
            found.groups.group(number).overflow -= 1
            number = found.groups.after(number)
        }
        count -= 1
        if growth != .none {
            advance(hashOf)
        } else if current.count > 64, count < current.count * 2 {
            begin(current.count / 3)
            advance(hashOf)
        }
    }

    /// The block has moved.
    mutating func move(_ hash: UInt64, from old: UInt32, to new: UInt32) {
        let found = locate(Self.mix(hash), old)
        let group = found.groups.group(found.number)
        group.set(found.place, group.tag(found.place), new)
    }

    private struct Place {
        var groups: Groups
        var number: Int
        var place: Int
    }

    private func locate(_ mixed: UInt64, _ reference: UInt32) -> Place {
        if let found = Self.locate(mixed, reference, in: current) { return found }
        if case .moving = growth, let other, let found = Self.locate(mixed, reference, in: other) { return found }
        invariantFailure("a line is not in its table's index")
    }

    private static func locate(_ mixed: UInt64, _ reference: UInt32, in groups: Groups) -> Place? {
        let tag = tag(mixed)
        let home = groups.home(mixed)
        var number = home
        while true {
            let group = groups.group(number)
            for place in 0..<perGroup where group.tag(place) == tag && group.reference(place) == reference {
                return Place(groups: groups, number: number, place: place)
            }
            if group.overflow == 0 { return nil }
            number = groups.after(number)
            if number == home { return nil }
        }
    }

    private static func place(_ mixed: UInt64, _ reference: UInt32, in groups: Groups) {
        var number = groups.home(mixed)
        while true {
            let group = groups.group(number)
            if let place = group.vacancy {
                group.set(place, tag(mixed), reference)
                return
            }
            group.overflow += 1
            number = groups.after(number)
        }
    }

    // MARK: Growth

    private static func limit(_ groups: Int) -> Int { groups * grownAt }

    private static func copy(_ groups: Groups) -> Groups {
        let copy = Groups.allocate(groups.count)
        copy.base.copyMemory(from: groups.base, byteCount: groups.count * groupBytes)
        return copy
    }

    private mutating func begin(_ groups: Int) {
        other = .allocate(groups)
        growth = .clearing(0)
    }

    /// A bounded part of what growth takes. The old groups fill by less than a hundredth while the next are cleared,
    /// and are moved long before those fill.
    private mutating func advance(_ hashOf: (UInt32) -> UInt64) {
        guard let other else { return }
        switch growth {
        case .none: return
        case .clearing(let done):
            let end = min(done + Self.clearedAtOnce, other.count)
            other.clear(done..<end)
            growth = .clearing(end)
            if end == other.count {
                self.other = current
                current = other
                growsAt = Self.limit(current.count)
                growth = .moving(0)
            }
        case .moving(let done):
            let end = min(done + Self.movedAtOnce, other.count)
            for number in done..<end {
                let group = other.group(number)
                for place in 0..<Self.perGroup where group.tag(place) != 0 {
                    let reference = group.reference(place)
                    Self.place(Self.mix(hashOf(reference)), reference, in: current)
                    group.set(place, 0, 0)
                }
            }
            growth = .moving(end)
            if end == other.count {
                other.base.deallocate()
                self.other = nil
                growth = .none
            }
        }
    }
}
