// SPDX-License-Identifier: Apache-2.0
import Foundation
import Primitives
import Testing

@testable import CacheCore

/// All states that three caches, one key and one home after the other can get into, with the real machines (DESIGN
/// §10): whoever acts next, whatever is delivered next, and whatever goes wrong next, within each plan's bounds.
@Suite("Small worlds")
struct SmallWorldTests {
    static var isLong: Bool { ProcessInfo.processInfo.environment["SYNCLINE_EXHAUSTIVE"] == "1" }

    @Test("nobody reads an old value and no write is lost, whatever happens when", arguments: plans)
    func isCoherent(_ plan: SmallWorldPlan) {
        let explorer = SmallWorldExplorer.explored(plan)
        #expect(explorer.isComplete, "\(plan.name): more than \(explorer.states) states")
        if let found = explorer.found { Issue.record("\(plan.name): \(found)") }
    }

    private static let plans: [SmallWorldPlan] =
        SmallWorldPlan.usual + (isLong ? SmallWorldPlan.large + SmallWorldPlan.largeJournalled : [])
}

extension SmallWorldPlan: CustomTestStringConvertible {
    static let usual = calm + opened + tokens + faulty + silent + journalled + grouped

    var testDescription: String { name }
}

extension SmallWorldExplorer {
    static func explored(_ plan: SmallWorldPlan, maxStates: Int = .max) -> SmallWorldExplorer {
        var explorer = SmallWorldExplorer(maxStates: maxStates)
        explorer.explore(plan)
        return explorer
    }
}
