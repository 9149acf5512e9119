// SPDX-License-Identifier: Apache-2.0
import Primitives
import Testing

@testable import QueueCore

@Suite("Producers remembered")
struct ProducerTableTests {
    @Test("producers that are forgotten all at once make room again and again")
    func producersForgotten() {
        var table = ProducerTable()
        for round in 0..<3 {
            let stamp = UInt64(round) * 1_000
            for number in 0..<4 {
                let name = Name("p\(round)-\(number)")
                let hasRoom = table.makeRoom(for: name, at: stamp, window: 500, limit: 4)
                #expect(hasRoom, "round \(round)")
                table.remember(.init(sequence: 1, first: .zero, count: 1, ids: []), of: name, at: stamp)
            }
            let hasRoom = table.makeRoom(for: "late", at: stamp, window: 500, limit: 4)
            #expect(!hasRoom)
        }
    }
}
