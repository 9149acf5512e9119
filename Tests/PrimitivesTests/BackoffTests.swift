// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@Suite("Waiting between attempts")
struct BackoffTests {
    @Test("the waits between attempts double up to their bound, with jitter over the upper half")
    func backoff() {
        var random = SeededRandom(seed: 3)
        var backoff = Backoff(min: .milliseconds(20), max: .milliseconds(1_000))
        for round in 0..<2 {
            for attempt in 0..<70 {
                let wait = backoff.next(&random).nanoseconds
                let full = min(20_000_000 << UInt64(min(attempt, 10)), 1_000_000_000)
                #expect(wait >= full / 2 && wait <= full, "round \(round), attempt \(attempt)")
            }
            backoff.reset()
        }
        backoff.exhaust()
        #expect(backoff.next(&random) >= .milliseconds(500))
    }
}
