// SPDX-License-Identifier: Apache-2.0
import Glibc
import Primitives
import Synchronization
import Testing

@testable import Storage

@Suite("Cold arena")
struct ColdArenaTests {
    private static func arena(
        _ directory: TestDirectory,
        extents: Int = 64,
        calls: FileSystemCalls = .system
    ) throws -> ColdArena {
        try ColdArena(path: directory.path + "/cold", calls: calls, extentBytes: 131_072, extentLimit: extents)
    }

    private static func bytes(_ seed: Int, _ count: Int) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: seed &* 31 &+ $0) }
    }

    private static func block(_ arena: ColdArena, _ bytes: [UInt8]) -> ColdBlock {
        bytes.withUnsafeBytes { arena.block($0) }
    }

    private static func holds(_ block: ColdBlock, _ bytes: [UInt8]) -> Bool {
        block.withBytes { $0.elementsEqual(bytes) }
    }

    @Test("blocks keep their bytes while others come and go, and the file shrinks when they are gone")
    func churn() throws {
        let directory = TestDirectory()
        let arena = try Self.arena(directory)
        #expect(try FileSystem(.system).list(directory.path).isEmpty)
        var random = SeededRandom(seed: 4)
        var held: [(block: ColdBlock, bytes: [UInt8])] = []
        for step in 0..<6_000 {
            if held.isEmpty || random.below(step < 3_000 ? 3 : 2) > 0 {
                let size = random.chance(1, in: 9) ? Int(random.below(20_000)) : 80 + Int(random.below(500))
                let bytes = Self.bytes(step, size)
                held.append((Self.block(arena, bytes), bytes))
            } else {
                let place = Int(random.below(UInt64(held.count)))
                held.swapAt(place, held.count - 1)
                let (block, bytes) = held.removeLast()
                #expect(Self.holds(block, bytes))
            }
        }
        #expect(held.allSatisfy { Self.holds($0.block, $0.bytes) })
        let sum = held.reduce(0) { $0 + $1.bytes.count }
        let usage = arena.usage
        #expect(usage.usedBytes + usage.heapBytes >= sum && usage.usedBytes <= usage.fileBytes)
        #expect(usage.heapBytes == held.reduce(0) { $0 + ($1.bytes.count > ColdSlabs.largest ? $1.bytes.count : 0) })
        held = []
        #expect(arena.usage == ColdArena.Usage(fileBytes: 131_072, usedBytes: 0, heapBytes: 0))
    }

    @Test("small blocks waste little of the file")
    func density() throws {
        let directory = TestDirectory()
        let arena = try Self.arena(directory)
        let blocks = (0..<2_000).map { Self.block(arena, Self.bytes($0, 300 + $0 % 100)) }
        let sum = blocks.reduce(0) { $0 + $1.count }
        #expect(arena.usage.usedBytes < sum * 9 / 8)
        #expect(arena.usage.fileBytes < sum * 3 / 2)
    }

    @Test("a full disk sends blocks to the heap, and the file grows again when there is room")
    func fullDisk() throws {
        let directory = TestDirectory()
        let full = FaultSwitch()
        var calls = FileSystemCalls.system
        calls.fallocate = { full.trips ? full.error : posix_fallocate($0, off_t($1), off_t($2)) }
        let arena = try Self.arena(directory, calls: calls)
        full.fail(with: ENOSPC)
        var blocks = [Self.block(arena, Self.bytes(1, 500))]
        #expect(arena.usage == ColdArena.Usage(fileBytes: 0, usedBytes: 0, heapBytes: 500))
        full.fail(with: nil)
        for index in 2...2_000 { blocks.append(Self.block(arena, Self.bytes(index, 500))) }
        #expect(arena.usage.usedBytes > 0 && arena.usage.heapBytes < 1_100 * 500)
        for (place, block) in blocks.enumerated() { #expect(Self.holds(block, Self.bytes(place + 1, 500))) }
        blocks = []
        #expect(arena.usage.heapBytes == 0 && arena.usage.usedBytes == 0)
    }

    @Test("above its extents the arena takes the heap")
    func limit() throws {
        let directory = TestDirectory()
        let arena = try Self.arena(directory, extents: 1)
        let blocks = (0..<400).map { Self.block(arena, Self.bytes($0, 1_000)) }
        #expect(arena.usage.fileBytes == 131_072 && arena.usage.heapBytes > 200_000)
        for (place, block) in blocks.enumerated() { #expect(Self.holds(block, Self.bytes(place, 1_000))) }
    }

    @Test("a block outlives the arena's last other reference, and a leftover file is no obstacle")
    func lifetime() throws {
        let directory = TestDirectory()
        let leftover = open(directory.path + "/cold", O_RDWR | O_CREAT, 0o600)
        #expect(leftover >= 0)
        close(leftover)
        var arena: ColdArena? = try Self.arena(directory)
        let block = try #require(arena.map { Self.block($0, Self.bytes(3, 999)) })
        arena = nil
        #expect(Self.holds(block, Self.bytes(3, 999)))
    }

    @Test("threads take and give back at once")
    func threads() async throws {
        let directory = TestDirectory()
        let arena = try Self.arena(directory)
        let correct = await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var random = SeededRandom(seed: UInt64(worker))
                    var held: [(ColdBlock, [UInt8])] = []
                    var isCorrect = true
                    for step in 0..<1_500 {
                        let bytes = Self.bytes(worker &* 7_919 &+ step, 60 + Int(random.below(400)))
                        held.append((Self.block(arena, bytes), bytes))
                        if held.count > 200 {
                            let (block, bytes) = held.remove(at: Int(random.below(UInt64(held.count))))
                            isCorrect = isCorrect && Self.holds(block, bytes)
                        }
                    }
                    return isCorrect && held.allSatisfy { Self.holds($0.0, $0.1) }
                }
            }
            return await group.reduce(true) { $0 && $1 }
        }
        #expect(correct)
        #expect(arena.usage.usedBytes == 0 && arena.usage.heapBytes == 0)
    }
}
