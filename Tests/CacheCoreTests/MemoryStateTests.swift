// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Testing

@Suite("The replicated state with another memory behind it")
struct MemoryStateTests {
    private let key = CacheKey("k")
    private let silent = LineData(value: [2], version: CacheVersion(index: 10, minor: 1))

    /// The key was written at 10; the memory has it, the state does not hold it any longer; all was removed at 20.
    private func cleared() -> CacheState {
        var state = CacheState(isWrittenBack: true)
        let set = CacheOperation.set(value: [1], expiry: .never, condition: .always, wantsOld: false)
        let written = CacheKeyVersion(key, CacheVersion(index: 10))
        apply(.write(key, set, data: nil, token: 0), 10, &state)
        apply(.flushed([written]), 11, &state)
        apply(.released([written]), 12, &state)
        apply(.removeAll, 20, &state)
        return state
    }

    @discardableResult
    private func apply(_ command: CacheCommand, _ index: UInt64, _ state: inout CacheState) -> CacheResponse {
        var effects = CacheEffects()
        return state.apply(command, index: LogIndex(index), stamp: index, into: &effects)
    }

    @Test("what an owner wrote before everything was removed does not come back when it is saved after it")
    func savedAfterRemoval() {
        var state = cleared()
        let digest = state.digest
        apply(.persist([CacheKeyData(key, silent)]), 21, &state)
        #expect(state.current(key) == nil && state.digest == digest)
    }

    @Test("nor when it comes with a write")
    func writtenAfterRemoval() {
        var state = cleared()
        let append = CacheOperation.append([3])
        #expect(apply(.write(key, append, data: silent, token: 0), 21, &state) == .written(.count(1), .init(index: 21)))
        #expect(state.current(key)?.value == [3])
    }

    @Test("what an owner wrote after it is saved")
    func savedLater() {
        var state = cleared()
        let later = LineData(value: [4], version: CacheVersion(index: 21, minor: 1))
        apply(.persist([CacheKeyData(key, later)]), 22, &state)
        #expect(state.current(key)?.value == [4])
    }

    @Test("a fence that the log does not know of means that its leader may have found the memory emptied")
    func meeting() {
        func mark(_ epoch: UInt64, _ run: String = "a") -> MemoryMark {
            MemoryMark(epoch: epoch, runID: Array(run.utf8))
        }
        let logged = mark(5)
        #expect(MemoryMark().meeting(mark(1), previous: nil, hasServed: false) == .changed)
        #expect(logged.meeting(mark(6), previous: 5, hasServed: false) == .raised)
        #expect(mark(6).meeting(mark(6), previous: 6, hasServed: true) == .known)
        #expect(logged.meeting(mark(6), previous: 6, hasServed: true) == .raised)
        // Emptied, another process, an older copy, and a leader of term 6 of which the log has nothing.
        #expect(logged.meeting(mark(6), previous: nil, hasServed: false) == .changed)
        #expect(logged.meeting(mark(6, "b"), previous: 5, hasServed: false) == .changed)
        #expect(logged.meeting(mark(6), previous: 4, hasServed: false) == .changed)
        #expect(logged.meeting(mark(7), previous: 6, hasServed: false) == .changed)
        #expect(mark(6).meeting(mark(6), previous: 5, hasServed: true) == .changed)
    }

    @Test("a new fence is noted and nothing written anew; after a change everything is")
    func fenced() {
        var state = cleared()
        let set = CacheOperation.set(value: [1], expiry: .never, condition: .always, wantsOld: false)
        apply(.write(key, set, data: nil, token: 0), 21, &state)
        apply(.flushed([CacheKeyVersion(key, CacheVersion(index: 21))]), 22, &state)
        let mark = MemoryMark(epoch: 3, runID: [1])
        apply(.memoryFenced(mark), 23, &state)
        #expect(state.memory == mark && state.memoryChanges == 0 && state.store.dirtyBytes == 0)
        apply(.memoryChanged(mark), 24, &state)
        #expect(state.memoryChanges == 1 && state.store.dirtyBytes > 0)
    }

    @Test("a run id of any length can be logged and read again")
    func longRunID() throws {
        let command = CacheCommand.memoryChanged(MemoryMark(epoch: 1, runID: Array(repeating: 7, count: 10_000)))
        var writer = ByteWriter()
        command.encode(into: &writer)
        var reader = ByteReader(writer.bytes)
        #expect(try CacheCommand(decoding: &reader) == command)
    }
}
