// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The memory of a table's lines: pages of 8 KiB, each cut into blocks of one size class. A class has no holes: its
/// last block moves into the place of one that goes. So what the lines take is what the table holds, but for one begun
/// page a class, whatever sizes come and go.
struct LineSlabs: ~Copyable {
    /// Blocks begin at multiples of eight bytes. A page and the allocator's word before it make 8 KiB.
    static let pageUnits = 1_023
    static let pageBytes = 8_192
    /// No block.
    static let none = UInt32.max
    /// Larger lines keep key and value in a block of their own.
    static let largestBlock = largestUnits * 8
    private static let largestUnits = 127
    private static let pageLimit = 1 << 22

    struct SizeClass {
        var units: Int
        var perPage: Int
        var count = 0
        /// Numbers of its pages; all but the last are full.
        var pages: [UInt32] = []
    }

    /// Of each number of units the class.
    private static let classOfUnits: [UInt8] = {
        var classes: [UInt8] = []
        for (number, sizeClass) in emptyClasses.enumerated() {
            while classes.count <= sizeClass.units { classes.append(UInt8(number)) }
        }
        return classes
    }()

    /// The sizes that fill a page: eight bytes apart at first, then as many as so many blocks a page allow.
    private static let emptyClasses: [SizeClass] = {
        var classes: [SizeClass] = []
        for perPage in stride(from: pageUnits / 5, through: pageUnits / largestUnits, by: -1) {
            let units = pageUnits / perPage
            if classes.last?.units == units { continue }
            classes.append(SizeClass(units: units, perPage: pageUnits / units))
        }
        return classes
    }()

    private var pages: UnsafeMutablePointer<UnsafeMutableRawPointer>
    private var pageCapacity: Int
    private var pageEnd = 0
    private var freePages: [UInt32] = []
    private(set) var classes: [SizeClass]

    init() {
        pageCapacity = 8
        pages = .allocate(capacity: pageCapacity)
        classes = Self.emptyClasses
    }

    init(copying other: borrowing LineSlabs) {
        pageCapacity = other.pageCapacity
        pages = .allocate(capacity: pageCapacity)
        pageEnd = other.pageEnd
        freePages = other.freePages
        classes = other.classes
        for sizeClass in classes {
            for page in sizeClass.pages {
                let copy = Self.newPage()
                copy.copyMemory(from: other.pages[Int(page)], byteCount: Self.pageUnits * 8)
                pages[Int(page)] = copy
            }
        }
    }

    deinit {
        for sizeClass in classes {
            for page in sizeClass.pages { pages[Int(page)].deallocate() }
        }
        pages.deallocate()
    }

    /// What is taken from the allocator.
    var heldBytes: Int {
        var held = pageCapacity * 8 + freePages.capacity * 4
        for sizeClass in classes { held += sizeClass.pages.count * Self.pageBytes + sizeClass.pages.capacity * 4 }
        return held
    }

    /// Blocks by their reference; valid until a block is allocated.
    struct Blocks {
        let pages: UnsafeMutablePointer<UnsafeMutableRawPointer>

        @inline(__always) subscript(reference: UInt32) -> LineBlock {
            LineBlock(pages[Int(reference &>> 10)] + Int(reference & 1_023) &* 8)
        }
    }

    var blocks: Blocks { @inline(__always) get { Blocks(pages: pages) } }

    @inline(__always) func block(_ reference: UInt32) -> LineBlock { blocks[reference] }

    static func sizeClass(bytes: Int) -> Int { Int(classOfUnits[(bytes + 7) >> 3]) }

    /// A line's share of its page, and of what is kept per page.
    static func share(_ sizeClass: Int) -> Int {
        let perPage = emptyClasses[sizeClass].perPage
        return (pageBytes + 12 + perPage - 1) / perPage
    }

    // MARK: Blocks

    mutating func allocate(_ number: Int) -> UInt32 {
        let perPage = classes[number].perPage
        let place = classes[number].count % perPage
        if place == 0 { classes[number].pages.append(takePage()) }
        classes[number].count += 1
        let page = classes[number].pages[classes[number].pages.count - 1]
        return page << 10 | UInt32(place * classes[number].units)
    }

    /// Frees a block. The answer names the block that was moved to its place, if any was.
    mutating func release(_ reference: UInt32, _ number: Int) -> UInt32? {
        let last = self.reference(number, classes[number].count - 1)
        if last != reference {
            block(reference).base.copyMemory(from: block(last).base, byteCount: classes[number].units * 8)
        }
        classes[number].count -= 1
        if classes[number].count % classes[number].perPage == 0 { freeLastPage(of: number) }
        return last == reference ? nil : last
    }

    /// The block at a place of its class.
    func reference(_ number: Int, _ place: Int) -> UInt32 {
        let perPage = classes[number].perPage
        return classes[number].pages[place / perPage] << 10 | UInt32(place % perPage * classes[number].units)
    }

    // MARK: Pages

    private static func newPage() -> UnsafeMutableRawPointer { .allocate(byteCount: pageUnits * 8, alignment: 8) }

    private mutating func takePage() -> UInt32 {
        if let page = freePages.popLast() {
            pages[Int(page)] = Self.newPage()
            return page
        }
        if pageEnd == pageCapacity {
            invariant(pageEnd < Self.pageLimit, "a line table holds at most 32 GiB")
            let more = UnsafeMutablePointer<UnsafeMutableRawPointer>.allocate(capacity: pageCapacity * 2)
            more.update(from: pages, count: pageEnd)
            pages.deallocate()
            pages = more
            pageCapacity *= 2
        }
        pages[pageEnd] = Self.newPage()
        pageEnd += 1
        return UInt32(pageEnd - 1)
    }

    private mutating func freeLastPage(of number: Int) {
        let page = classes[number].pages.removeLast()
        pages[Int(page)].deallocate()
        freePages.append(page)
    }
}
