// SPDX-License-Identifier: Apache-2.0
import Testing

@testable import Memory

@Suite("Breaker and backoff")
struct BreakerTests {
    private func admitted(_ breaker: inout Breaker, of count: Int) -> Int {
        var admitted = 0
        for _ in 0..<count where breaker.admits() { admitted += 1 }
        return admitted
    }

    @Test("it opens after so many failures in succession, and an answer in between begins the count anew")
    func opens() {
        var breaker = Breaker(threshold: 3)
        for _ in 0..<10 {
            breaker.failed()
            breaker.failed()
            #expect(breaker.state == .closed)
            breaker.answered()
        }
        for _ in 0..<3 { breaker.failed() }
        #expect(breaker.state == .open)
        #expect(admitted(&breaker, of: 3) == 0)
    }

    @Test("an open breaker stays so until there is a new connection, and then lets one command through")
    func probes() {
        var breaker = Breaker(threshold: 1)
        breaker.failed()
        // An answer from before it opened proves nothing.
        breaker.answered()
        #expect(breaker.state == .open)
        breaker.connected()
        #expect(breaker.state == .halfOpen)
        #expect(admitted(&breaker, of: 5) == 1)
        breaker.failed()
        #expect(breaker.state == .open)
        breaker.connected()
        #expect(admitted(&breaker, of: 1) == 1)
        breaker.answered()
        #expect(breaker.state == .closed)
        #expect(admitted(&breaker, of: 5) == 5)
    }

    @Test("a new connection does not change a closed breaker")
    func closed() {
        var breaker = Breaker(threshold: 2)
        breaker.failed()
        breaker.connected()
        #expect(breaker.state == .closed)
        breaker.failed()
        #expect(breaker.state == .open)
    }
}
