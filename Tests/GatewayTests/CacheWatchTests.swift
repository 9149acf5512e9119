// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Testing

@testable import Gateway

@Suite("Events of the cache")
struct CacheWatchTests {
    private func kinds(_ watch: inout CacheWatch, _ statistics: CacheStatistics) -> [String] {
        watch.changes(statistics).map(\.text)
    }

    @Test("a lease that is lost, won, or lost and won again between two looks")
    func lease() {
        var now = CacheStatistics()
        var watch = CacheWatch(now)
        now.leaseRemaining = 1_000
        #expect(kinds(&watch, now) == [#"{"kind":"lease_granted","lines":0}"#])
        #expect(kinds(&watch, now).isEmpty)
        now.leaseRemaining = 0
        now.leaseLosses = 1
        #expect(kinds(&watch, now) == [#"{"kind":"lease_lost","losses":1}"#])
        now.leaseRemaining = 500
        _ = kinds(&watch, now)
        now.leaseLosses = 2
        now.lines = [0, 1, 2, 3]
        let both = [#"{"kind":"lease_lost","losses":2}"#, #"{"kind":"lease_granted","lines":6}"#]
        #expect(kinds(&watch, now) == both)
    }

    @Test("Redis fails, is silent, and serves again; it refuses a value")
    func memory() {
        var now = CacheStatistics()
        var watch = CacheWatch(now)
        now.memory.writes = 10
        #expect(kinds(&watch, now).isEmpty)
        now.memory.writeFailures = 1
        now.memory.dirtyKeys = 7
        #expect(kinds(&watch, now) == [#"{"kind":"memory_failing","dirty_keys":7}"#])
        now.memory.fetchFailures = 1
        #expect(kinds(&watch, now).isEmpty)
        // Nothing is asked of it: nobody knows.
        #expect(kinds(&watch, now).isEmpty)
        now.memory.fetches = 1
        now.memory.dirtyKeys = 0
        #expect(kinds(&watch, now) == [#"{"kind":"memory_serving","dirty_keys":0}"#])
        now.memory.quarantinedKeys = 2
        #expect(kinds(&watch, now) == [#"{"kind":"quarantine","keys":2}"#])
        now.memory.quarantinedKeys = 0
        #expect(kinds(&watch, now) == [#"{"kind":"quarantine","keys":0}"#])
    }
}
