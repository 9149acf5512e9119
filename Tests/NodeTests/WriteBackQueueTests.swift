// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@testable import Node

/// A state to be written back, a queue over it, and a clock that only the tests move.
private struct Bench {
    var store = CacheStore(isWrittenBack: true)
    var queue: WriteBackQueue
    var now = Instant(nanoseconds: 1_000_000_000)
    var index: UInt64 = 0

    init(_ change: (inout WriteBackQueue.Limits) -> Void = { _ in }) {
        var limits = WriteBackQueue.Limits()
        change(&limits)
        queue = WriteBackQueue(limits: limits, seed: 7)
    }

    mutating func set(_ key: String, _ value: String?) {
        index += 1
        let name = CacheKey(key)
        let effect: CacheEffect = value.map { .store(Array($0.utf8), expiresAt: 0) } ?? .remove
        store.apply(effect, to: name, hash: name.hash, at: CacheVersion(index: index))
        queue.note(name, now)
    }

    func entry(_ key: CacheKey) -> CacheEntry? { store.entry(key, hash: key.hash) }

    mutating func take() -> [String] { takeEntries().map { "\($0.key)=\($0.text)@\($0.version)" } }

    mutating func takeEntries() -> [CacheEntry] {
        let store = store
        return queue.take(now) { store.entry($0, hash: $0.hash) }
    }

    @discardableResult
    mutating func finish(_ key: String, _ version: UInt64, _ failure: WriteBackQueue.Failure? = nil) -> Bool {
        let name = CacheKey(key)
        return queue.finished(name, CacheVersion(index: version), failure, current: entry(name), now)
    }

    /// What the queue wants said in the log; said, and applied, unless the log is `lost`.
    mutating func log(lost: Bool = false) -> [String] {
        let batch = queue.takeConfirmed(now)
        if !lost { for entry in batch { store.markFlushed(entry.key, hash: entry.key.hash, version: entry.version) } }
        return batch.map { "\($0.key)@\($0.version)" }
    }

    mutating func settle() -> [String] {
        let store = store
        return queue.settle { store.entry($0, hash: $0.hash) }.map { "\($0.key)@\($0.version)" }
    }

    mutating func wait(_ milliseconds: UInt64) { now = now + .milliseconds(milliseconds) }
}

extension CacheEntry {
    fileprivate var text: String { value.map { String(decoding: $0, as: UTF8.self) } ?? "-" }
}

@Suite("What is written back to Redis, when and in which order")
struct WriteBackQueueTests {
    @Test("the oldest goes first, and several changes of a key are one write of the latest")
    func coalesced() {
        var bench = Bench()
        bench.set("a", "1")
        bench.set("b", "1")
        bench.set("a", "2")
        bench.set("c", nil)
        #expect(bench.take() == ["a=2@3", "b=1@2", "c=-@4"])
        #expect(bench.take() == [])
    }

    @Test("of one key one write is under way; a change meanwhile follows when it is answered")
    func oneAtATime() {
        var bench = Bench()
        bench.set("a", "1")
        #expect(bench.take() == ["a=1@1"])
        bench.set("a", "2")
        bench.set("a", "3")
        #expect(bench.take() == [])
        bench.finish("a", 1)
        #expect(bench.take() == ["a=3@3"])
        bench.finish("a", 3)
        #expect(bench.log() == ["a@1", "a@3"])
        #expect(bench.settle() == ["a@3"])
        #expect(bench.queue.isIdle && bench.queue.inFlightCount == 0)
    }

    @Test("no more than the limits are under way, but one large value always may be")
    func limits() {
        var bench = Bench {
            $0.inFlight = 2
            $0.inFlightBytes = 10
        }
        bench.set("a", String(repeating: "x", count: 100))
        bench.set("b", "1")
        bench.set("c", "1")
        bench.set("d", "1")
        #expect(bench.takeEntries().map(\.key.description) == ["a"])
        bench.finish("a", 1)
        #expect(bench.take() == ["b=1@2", "c=1@3"])
        bench.finish("c", 3)
        #expect(bench.take() == ["d=1@4"])
    }

    @Test("when the server fails nothing goes for a while, ever longer, and then the oldest first")
    func serverFails() {
        var bench = Bench {
            $0.shortestPause = .milliseconds(100)
            $0.longestPause = .milliseconds(400)
        }
        bench.set("a", "1")
        var waited: [UInt64] = []
        for round in 0..<5 {
            #expect(bench.take().first == "a=1@1")
            if round == 0 { bench.set("b", "1") }
            bench.finish("a", 1, .server("down"))
            var span: UInt64 = 0
            while bench.takeEntries().isEmpty {
                bench.wait(1)
                span += 1
            }
            waited.append(span)
            bench.finish("a", 1, .server("down"))
            bench.finish("b", 2, .server("down"))
            bench.wait(1_000)
        }
        #expect(waited[0] >= 50 && waited[0] <= 101, "\(waited)")
        #expect(waited[4] >= 200 && waited[4] <= 401, "\(waited)")
        #expect(bench.queue.quarantinedCount == 0)
        let entries = bench.takeEntries()
        #expect(Set(entries.map(\.key.description)) == ["a", "b"])
        bench.finish("a", 1)
        bench.finish("b", 2)
        bench.set("c", "1")
        #expect(bench.take() == ["c=1@3"])
    }

    @Test("a value that is refused again and again goes to quarantine and holds up nobody; another value gets it out")
    func quarantine() {
        var bench = Bench { $0.quarantineAfter = 2 }
        bench.set("bad", "1")
        #expect(bench.take() == ["bad=1@1"])
        var isNew = bench.finish("bad", 1, .entry("too long"))
        #expect(!isNew)
        bench.set("good", "1")
        #expect(bench.take() == ["good=1@2"])
        bench.finish("good", 2)
        bench.wait(200)
        #expect(bench.take() == ["bad=1@1"])
        isNew = bench.finish("bad", 1, .entry("too long"))
        #expect(isNew)
        #expect(bench.queue.quarantinedCount == 1 && bench.queue.reason(CacheKey("bad")) == "too long")
        #expect(bench.take() == [])
        bench.set("bad", "2")
        #expect(bench.take() == ["bad=2@3"])
        bench.finish("bad", 3)
        #expect(bench.queue.quarantinedCount == 0)
        #expect(bench.log() == ["good@2", "bad@3"])
    }

    @Test("what found no room goes again as soon as another value did, and a removal says nothing of room")
    func full() {
        var bench = Bench { $0.longestRetryWhenFull = .milliseconds(60_000) }
        bench.set("a", "1")
        bench.set("b", "1")
        _ = bench.take()
        bench.finish("a", 1, .full)
        bench.finish("b", 2, .full)
        bench.set("gone", nil)
        #expect(bench.take() == ["gone=-@3"])
        bench.finish("gone", 3)
        #expect(bench.take() == [])
        bench.wait(100)
        let again = bench.takeEntries()
        #expect(again.count == 2)
        bench.finish("b", 2, .full)
        bench.finish("a", 1)
        #expect(bench.take() == ["b=1@2"])
    }

    @Test("a confirmation that the log has not noted is said again, and nothing else is written for it")
    func lostProposal() {
        var bench = Bench()
        bench.set("a", "1")
        _ = bench.take()
        bench.finish("a", 1)
        #expect(bench.log(lost: true) == ["a@1"])
        #expect(bench.settle() == [])
        #expect(bench.log() == [] && bench.take() == [])
        bench.wait(1_000)
        #expect(bench.log() == ["a@1"])
        #expect(bench.settle() == ["a@1"])
        #expect(bench.queue.isIdle)
    }

    @Test("after Redis lost its data no confirmation of before is said, and everything goes again")
    func lostMemory() {
        var bench = Bench()
        bench.set("a", "1")
        bench.set("b", "1")
        _ = bench.take()
        bench.finish("a", 1)
        #expect(bench.log() == ["a@1"])
        bench.finish("b", 2)
        bench.queue.memoryWasLost()
        #expect(bench.log() == [])
        bench.store.markAllDirty()
        for key in ["a", "b"] { bench.queue.note(CacheKey(key), bench.now) }
        #expect(Set(bench.take()) == ["a=1@1", "b=1@2"])
        bench.finish("a", 1)
        bench.finish("b", 2)
        bench.wait(1_000)
        #expect(Set(bench.log()) == ["a@1", "b@2"])
        #expect(Set(bench.settle()) == ["a@1", "b@2"])
        #expect(bench.queue.isIdle)
    }

    @Test("what is removed from the state, or written by somebody else, is not sent")
    func gone() {
        var bench = Bench()
        bench.set("a", "1")
        bench.set("b", "1")
        bench.store.removeAll(at: CacheVersion(index: 3))
        #expect(bench.take() == [])
        let oldest = bench.queue.oldest()
        #expect(bench.queue.isIdle && oldest == nil)
    }

    @Test("the age is that of the oldest change that waits")
    func age() {
        var bench = Bench()
        let first = bench.now
        bench.set("a", "1")
        bench.wait(50)
        let second = bench.now
        bench.set("b", "1")
        #expect(bench.queue.oldest() == first)
        _ = bench.take()
        bench.finish("a", 1)
        _ = bench.log()
        _ = bench.settle()
        #expect(bench.queue.oldest() == second)
        bench.finish("b", 2)
        _ = bench.log()
        _ = bench.settle()
        #expect(bench.queue.oldest() == nil)
    }

    @Test("whatever fails, in any order, all arrives in the end, and only what arrived is called so")
    func random() {
        for seed in 0..<200 as Range<UInt64> {
            var random = SeededRandom(seed: seed)
            var bench = Bench { $0.inFlight = 4 }
            var redis: [CacheKey: CacheEntry] = [:]
            var open: [CacheEntry] = []
            for step in 0..<400 {
                if step < 300, random.chance(1, in: 2) {
                    bench.set("k\(random.below(6))", random.chance(1, in: 5) ? nil : "\(step)")
                }
                let taken = bench.takeEntries()
                for entry in taken { #expect(!open.contains { $0.key == entry.key }) }
                open += taken
                if !open.isEmpty {
                    let entry = open.remove(at: Int(random.below(UInt64(open.count))))
                    let isLost = step < 300 && random.chance(1, in: 3)
                    let failures: [WriteBackQueue.Failure] = [.server("down"), .full, .entry("no")]
                    if !isLost { redis[entry.key] = entry }
                    let failure = isLost ? failures[Int(random.below(3))] : nil
                    bench.queue.finished(entry.key, entry.version, failure, current: bench.entry(entry.key), bench.now)
                }
                for confirmed in bench.queue.takeConfirmed(bench.now) {
                    #expect((redis[confirmed.key]?.version ?? .zero) >= confirmed.version)
                    if step < 300, random.chance(1, in: 4) { continue }
                    bench.store.markFlushed(confirmed.key, hash: confirmed.key.hash, version: confirmed.version)
                }
                _ = bench.settle()
                bench.wait(random.below(step < 300 ? 100 : 2_500))
            }
            #expect(bench.store.dirtyCount == 0 && bench.queue.isIdle && bench.queue.quarantinedCount == 0, "\(seed)")
            bench.store.forEach { entry in #expect(redis[entry.key]?.value == entry.value) }
        }
    }
}
