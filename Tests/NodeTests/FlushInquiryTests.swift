// SPDX-License-Identifier: Apache-2.0
import Gateway
import Replica
import Testing

@testable import Node

@Suite("What CACHE.FLUSH ALL makes of the nodes' answers")
struct FlushInquiryTests {
    private func answer(_ reports: CacheFlushReport?...) -> Result<Int, CacheFailure> {
        FlushInquiry.result(reports.enumerated().map { (name: "node-\($0)", report: $1) })
    }

    @Test("the lines of all nodes together, when each has answered and has nothing left")
    func all() {
        let (three, none) = (CacheFlushReport(lines: 3, left: 0), CacheFlushReport(lines: 0, left: 0))
        #expect(answer(three) == .success(3))
        #expect(answer(three, none, three) == .success(6))
    }

    @Test("who did not answer is named, and so is who had not the time, with what was done all the same")
    func some() {
        let (three, late) = (CacheFlushReport(lines: 3, left: 0), CacheFlushReport(lines: 5, left: 4))
        #expect(
            answer(three, nil, late, nil)
                == .failure(
                    .partly(
                        reason: "4 lines were written back; no answer in time from node-1, node-3; "
                            + "not all was written back in time by node-2 (4 lines)"
                    )
                )
        )
        #expect(
            answer(three, late)
                == .failure(
                    .partly(
                        reason: "4 lines were written back; not all was written back in time by node-1 (4 lines)"
                    )
                )
        )
    }
}
