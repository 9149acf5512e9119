import Testing

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// Each rule of the protocol, left out, has to be missed in a world that is clean with it.
@Suite("Every rule of coherence is needed")
struct SmallWorldRuleTests {
    @Test("without it a small world goes wrong", arguments: PlantedCacheBug.allCases)
    func isNeeded(_ bug: PlantedCacheBug) throws {
        var plan = try #require(Self.plan(that: bug))
        plan.bug = bug
        let explorer = SmallWorldExplorer.explored(plan, maxStates: 2_000_000)
        #expect(explorer.found != nil, "\(plan.name): nothing wrong in \(explorer.states) states")
    }

    /// The plan that shows it soonest; `SmallWorldTests` shows that the plan is clean with all rules.
    private static func plan(that bug: PlantedCacheBug) -> SmallWorldPlan? {
        let name =
            switch bug {
            case .noSynchronisation, .unconfirmedNewcomers: "a newcomer"
            case .hiddenViews: "a newcomer that is the home"
            case .earlyOpening: "a member comes back"
            case .noAcknowledgements: "eviction and hints"
            case .answerBeforeAcknowledgements, .keepOlderLine: "a broken link"
            case .forgottenVerdicts: "a full log"
            case .hintsWithoutNumber: "two silent writers"
            case .silenceOnOldVersion: "silent writes after writes that did nothing"
            case .hitWithoutLease: "a member is removed"
            case .sendWithoutLease: "a lapsed node asks the home of before"
            case .anyEpoch, .keepLines: "a takeover"
            case .keepLineInPut: "insertions and removals"
            case .joinAfterInvalidation: "two broken links"
            case .installBelowFloor: "callers that give up"
            case .dropSentData: "silent writes and readers"
            case .oneAnswerForAll: "silent writes after writes together"
            case .forgottenJournal: "an owner ends, and others read"
            case .removeBeforeExpiry: "the home's node is removed"
            }
        return SmallWorldPlan.usual.first { $0.name == name }
    }
}
