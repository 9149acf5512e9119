// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// The worlds that are explored to the end.
extension SmallWorldPlan {
    /// Writes that are logged, and nothing goes wrong.
    static let calm: [SmallWorldPlan] = [
        SmallWorldPlan(
            "three nodes read and write",
            [.init(0, [.read, .set("a"), .read]), .init(1, [.set("b"), .read]), .init(2, [.read, .read])]
        ),
        SmallWorldPlan(
            "two writers and a reader",
            [.init(0, [.read, .read]), .init(1, [.set("a"), .set("b")]), .init(2, [.set("c"), .set("d")])]
        ),
        SmallWorldPlan(
            "counting on three nodes",
            [
                .init(0, [.increment(), .increment()]), .init(1, [.increment(), .increment()]),
                .init(2, [.increment(), .read]),
            ]
        ),
        SmallWorldPlan(
            "two clients on each of two nodes",
            [
                .init(0, [.read, .set("a")]), .init(0, [.read]), .init(1, [.set("b"), .read]),
                .init(1, [.read, .read]),
            ]
        ),
        SmallWorldPlan(
            "insertions and removals",
            [
                .init(0, [.read, .set("a", .replicated, .absent)]),
                .init(1, [.set("b", .replicated, .absent), .delete()]), .init(2, [.read, .delete()]),
            ]
        ) { $0.first = nil },
        SmallWorldPlan("eviction and hints", [.init(1, [.read, .read, .read]), .init(2, [.read, .set("b")])]) {
            $0.budget.evictions = 2
        },
        SmallWorldPlan(
            "repetitions",
            [.init(1, [.set("a"), .read]), .init(2, [.read, .set("b", .replicated, .equals(Array("a".utf8)))])]
        ) {
            $0.budget.requestorTicks = 2
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan(
            "tokens of a lock",
            [
                .init(1, [.guarded("a", 2, .replicated), .guarded("b", 1, .replicated)]),
                .init(2, [.guarded("c", 1, .replicated, .absent), .read]),
            ]
        ),
    ]

    /// Begun in the middle of what is rare, since all that may come before would take too long.
    static let opened: [SmallWorldPlan] = [
        SmallWorldPlan("a lapsed node asks the home of before", [.init(1, [.read]), .init(2, [.set("a")])]) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.takeovers = 1
            $0.opening = [.lapse(node: 1), .remove(node: 1), .learn(node: 2), .takeOver(node: 2, kept: 1)]
        },
        SmallWorldPlan("a newcomer that is the home", [.init(2, [.read]), .init(1, [.set("a")])]) {
            $0.members = [0, 1]
            $0.budget.takeovers = 2
            $0.budget.joins = 1
            $0.opening = [.join(node: 2), .takeOver(node: 2, kept: 1), .grant(node: 2)]
        },
    ]

    private static let refusedWrite = ClientOperation.guarded("d", 1, .volatile, .absent)

    /// Writes that do nothing, and go through the log for their tokens.
    static let tokens = [
        SmallWorldPlan(
            "silent writes after writes that did nothing",
            [
                .init(1, [.set("a", .volatile), .set("b", .volatile), .set("c", .volatile)]),
                .init(2, [refusedWrite, refusedWrite, .set("e", .volatile)]),
            ]
        ) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.flushes = 1
        }
    ]

    /// Writes that are logged, with faults.
    static let faulty: [SmallWorldPlan] = [
        SmallWorldPlan("a broken link", [.init(1, [.read, .set("a"), .read]), .init(2, [.set("b"), .read])]) {
            $0.budget.breaks = 1
            $0.budget.requestorTicks = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("two broken links", [.init(1, [.read, .read]), .init(1, [.read]), .init(2, [.set("b")])]) {
            $0.budget.breaks = 2
            $0.budget.requestorTicks = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("a member is removed", [.init(1, [.read, .read]), .init(2, [.set("a"), .read])]) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("a member comes back", [.init(1, [.read, .set("a")]), .init(2, [.read])]) {
            $0.budget.lapses = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("a lease is lost and found", [.init(1, [.read, .set("a"), .read]), .init(2, [.set("b")])]) {
            $0.budget.lapses = 1
            $0.budget.revivals = 1
            $0.budget.requestorTicks = 1
        },
        SmallWorldPlan("a takeover", [.init(0, [.read, .read]), .init(1, [.set("a")]), .init(2, [.read])]) {
            $0.budget.takeovers = 1
        },
        SmallWorldPlan("a takeover with repetitions", [.init(1, [.set("a"), .read]), .init(2, [.increment()])]) {
            $0.budget.takeovers = 1
            $0.budget.requestorTicks = 1
            $0.first = Array("1".utf8)
        },
        SmallWorldPlan("the home's node is removed", [.init(0, [.read]), .init(1, [.set("a")])]) {
            $0.budget.takeovers = 1
            $0.budget.lapses = 1
            $0.budget.removals = 1
        },
        SmallWorldPlan("a newcomer", [.init(1, [.set("a"), .read]), .init(2, [.read])]) {
            $0.members = [0, 1]
            $0.budget.takeovers = 1
            $0.budget.joins = 1
        },
        SmallWorldPlan("a full log", [.init(1, [.set("a"), .read]), .init(2, [.read, .set("b")])]) {
            $0.budget.refusals = 1
            $0.budget.requestorTicks = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("callers that give up", [.init(1, [.set("a"), .read]), .init(2, [.read, .set("b")])]) {
            $0.budget.timeouts = 1
            $0.budget.breaks = 1
        },
        SmallWorldPlan("everything is removed", [.init(1, [.set("a"), .read]), .init(2, [.read, .set("b")])]) {
            $0.budget.clearings = 1
        },
        SmallWorldPlan("values expire", [.init(1, [.expiring("a"), .read]), .init(2, [.read, .read])]) {
            $0.budget.hours = 1
            $0.budget.homeTicks = 1
        },
    ]
}
