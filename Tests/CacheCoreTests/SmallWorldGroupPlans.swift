// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

extension SmallWorldPlan {
    /// Several clients of one node write at the same time, so that their writes share entries of the log.
    static let grouped: [SmallWorldPlan] = [
        SmallWorldPlan(
            "counting together",
            [
                .init(1, [.increment()]), .init(1, [.increment()]), .init(1, [.increment(), .read]),
                .init(2, [.increment(), .read]),
            ]
        ) { $0.first = Array("1".utf8) },
        SmallWorldPlan(
            "insertions together",
            [
                .init(1, [.set("a", .replicated, .absent)]), .init(1, [.set("b", .replicated, .absent)]),
                .init(1, [.set("c", .replicated, .absent), .read]), .init(2, [.read, .delete()]),
            ]
        ) { $0.first = nil },
        SmallWorldPlan(
            "writes together and a broken link",
            [.init(1, [.set("a")]), .init(1, [.set("1")]), .init(1, [.increment()]), .init(2, [.read])]
        ) {
            $0.budget.breaks = 1
            $0.budget.requestorTicks = 1
        },
        SmallWorldPlan(
            "writes together and a takeover",
            [.init(1, [.set("1")]), .init(1, [.increment()]), .init(1, [.increment(), .read])]
        ) { $0.budget.takeovers = 1 },
        SmallWorldPlan(
            "writes together, and callers that give up",
            [.init(1, [.set("a")]), .init(1, [.set("b")]), .init(1, [.set("c"), .read]), .init(2, [.read])]
        ) {
            $0.budget.timeouts = 1
            $0.budget.breaks = 1
        },
        SmallWorldPlan(
            "writes together, not yet sent, and callers that give up",
            [.init(1, [.set("a")]), .init(1, [.set("b")]), .init(1, [.set("c"), .read]), .init(1, [.read])]
        ) {
            $0.patient = [0, 2]
            $0.budget.lapses = 1
            $0.budget.revivals = 1
            $0.budget.timeouts = 1
        },
        SmallWorldPlan(
            "writes together and a full log",
            [.init(1, [.set("a")]), .init(1, [.set("b")]), .init(1, [.increment()]), .init(2, [.read, .read])]
        ) {
            $0.budget.refusals = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan(
            "silent writes after writes together",
            [
                .init(1, [.set("a", .volatile)]), .init(1, [.set("b", .volatile)]),
                .init(1, [.set("c", .volatile), .set("d", .volatile)]), .init(2, [.read, .set("e", .volatile)]),
            ]
        ) { $0.budget.flushes = 1 },
    ]
}
