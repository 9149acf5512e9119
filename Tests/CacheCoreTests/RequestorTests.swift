// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import CacheCore

@Suite("A node's side of a shard's lines, with a real home")
struct RequestorTests {
    /// The node owns these lines and may write them without the log.
    private func owning(_ keys: String...) -> LinePair {
        let pair = LinePair()
        for key in keys { for number in 0..<2 { _ = pair.set(key, "\(number)") } }
        return pair
    }

    @Test("a flush is done when the log has what was written before it began, whatever is written meanwhile")
    func flushBound() {
        let pair = owning("a", "b")
        #expect(pair.requestor.unloggedCount == 0)
        _ = pair.set("a", "before")
        #expect(pair.requestor.unloggedCount == 1)
        let mark = CacheRequestor.flushMark(pair.now)
        pair.time += 200
        _ = pair.set("b", "after")
        #expect(pair.lacks(mark))
        pair.step { $0.flush(now: $1, through: mark, into: &$2) }
        #expect(!pair.lacks(mark) && pair.requestor.unloggedCount == 1)
        #expect(pair.state.current(CacheKey("a"))?.value == Array("before".utf8))
        #expect(pair.state.current(CacheKey("b"))?.value == Array("1".utf8))
        pair.step { $0.flush(now: $1, through: CacheRequestor.flushMark($1), into: &$2) }
        #expect(pair.requestor.unloggedCount == 0)
        #expect(pair.state.current(CacheKey("b"))?.value == Array("after".utf8))
    }

    @Test("what was evicted is waited for until it is confirmed, and a later eviction is not")
    func evicted() {
        let pair = owning("a", "b")
        _ = pair.set("a", "last")
        _ = pair.set("b", "last")
        pair.holdsPuts = true
        pair.evict("a")
        let mark = CacheRequestor.flushMark(pair.now)
        #expect(pair.lacks(mark) && pair.requestor.unloggedCount == 2)
        pair.holdsPuts = false
        pair.step { $0.flush(now: $1, through: mark, into: &$2) }
        #expect(pair.lacks(mark) && pair.requestor.unloggedCount == 1)
        pair.time += pair.requestor.configuration.resendInterval.milliseconds
        pair.step { $0.tick(now: $1, into: &$2) }
        #expect(!pair.lacks(mark) && pair.requestor.unloggedCount == 0)
        _ = pair.set("b", "later")
        pair.holdsPuts = true
        pair.evict("b")
        #expect(!pair.lacks(mark) && pair.requestor.unloggedCount == 1)
        #expect(pair.state.current(CacheKey("a"))?.value == Array("last".utf8))
    }

    @Test(
        "what was flushed is waited for until it is confirmed, although the line is written again and the put is lost"
    )
    func flushRepeated() {
        let pair = owning("a")
        _ = pair.set("a", "before")
        let mark = CacheRequestor.flushMark(pair.now)
        pair.holdsPuts = true
        pair.step { $0.flush(now: $1, through: mark, into: &$2) }
        #expect(pair.puts.count == 1)
        pair.time += 200
        _ = pair.set("a", "again")
        // A second flush takes the first one's place.
        pair.step { $0.flush(now: $1, olderThan: .zero, into: &$2) }
        #expect(pair.puts.count == 2 && pair.requestor.unloggedCount == 1)
        #expect(pair.lacks(mark))
        pair.time += 200
        _ = pair.set("a", "once more")
        pair.puts = []
        pair.holdsPuts = false
        pair.time += pair.requestor.configuration.resendInterval.milliseconds
        #expect(pair.lacks(mark))
        pair.step { $0.tick(now: $1, into: &$2) }
        #expect(!pair.lacks(mark) && pair.requestor.unloggedCount == 0)
        #expect(pair.state.current(CacheKey("a"))?.value == Array("once more".utf8))
    }

    @Test("the confirmation of an earlier flush does not end a later one of the same line")
    func flushSuperseded() {
        let pair = owning("a")
        _ = pair.set("a", "first")
        pair.holdsPuts = true
        let mark = CacheRequestor.flushMark(pair.now)
        pair.step { $0.flush(now: $1, through: mark, into: &$2) }
        _ = pair.set("a", "second")
        pair.step { $0.flush(now: $1, through: mark, into: &$2) }
        let puts = pair.puts
        pair.puts = []
        pair.holdsPuts = false
        pair.send(puts[0])
        #expect(pair.lacks(mark))
        pair.send(puts[1])
        #expect(!pair.lacks(mark))
        #expect(pair.requestor.statistics.staleMessages == 0)
    }

    @Test("a write that is refused for want of room leaves what is there: nobody is told that the key is absent")
    func refusedWrite() {
        for isWrittenBack in [true, false] {
            for isHeld in [true, false] {
                let pair = LinePair(isWrittenBack: isWrittenBack)
                let old = Array("old".utf8)
                if isWrittenBack {
                    // Only Redis has it, so a home that is not asked to read it does not know it.
                    pair.memory[CacheKey("a")] = LineData(value: old, version: CacheVersion(index: 1))
                } else {
                    _ = pair.set("a", "old", .replicated)
                }
                if isHeld { _ = pair.read("a") }
                #expect((pair.line("a")?.value == old) == isHeld)
                (pair.maxBytes, pair.maxDirtyBytes) = (0, 0)
                let refusal = isWrittenBack ? CacheRefusal.tooDirty : .outOfMemory
                guard case .written(.refused(refusal), _)? = pair.set("a", "new", .replicated) else {
                    Issue.record("it was not refused")
                    continue
                }
                if let line = pair.line("a") { #expect(line.value == old) }
                guard case .read(let data, _)? = pair.read("a") else {
                    Issue.record("it could not be read")
                    continue
                }
                #expect(data.value == old, "written back: \(isWrittenBack), held: \(isHeld)")
            }
        }
    }
}
