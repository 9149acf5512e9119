// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

extension SmallWorldPlan {
    /// Writes that an owner carries out in its own line, with and without faults.
    static let silent: [SmallWorldPlan] = [
        SmallWorldPlan(
            "silent writes and readers",
            [.init(1, [.set("a", .volatile), .set("b", .volatile), .set("c", .volatile)]), .init(2, [.read, .read])]
        ) { $0.budget.flushes = 1 },
        SmallWorldPlan(
            "two silent writers",
            [
                .init(1, [.set("a", .volatile), .set("b", .volatile)]),
                .init(2, [.set("c", .volatile), .set("d", .volatile), .read]),
            ]
        ) {
            $0.budget.flushes = 1
            $0.budget.evictions = 1
        },
        SmallWorldPlan(
            "silent counting",
            [
                .init(1, [.increment(.volatile), .increment(.volatile), .increment()]),
                .init(2, [.increment(.volatile), .increment(.volatile)]),
            ]
        ) { $0.budget.evictions = 1 },
        SmallWorldPlan(
            "silent writes, removals and conditions",
            [
                .init(1, [.set("a", .volatile), .delete(.volatile), .set("b", .volatile)]),
                .init(2, [.set("c", .volatile, .present), .set("d", .volatile, .absent)]),
            ]
        ) { $0.budget.flushes = 1 },
        SmallWorldPlan(
            "journalled writes",
            [
                .init(1, [.set("a", .local), .set("b", .local), .increment(.local)]),
                .init(2, [.read, .set("c", .local)]),
            ]
        ) { $0.budget.flushes = 1 },
        SmallWorldPlan(
            "silent writes and tokens of a lock",
            [
                .init(1, [.set("a", .volatile), .set("b", .volatile), .set("c", .volatile)]),
                .init(2, [.guarded("d", 2, .replicated), .guarded("e", 1, .replicated)]),
            ]
        ),
        SmallWorldPlan(
            "silent writes and a broken link",
            [.init(1, [.set("a", .volatile), .set("b", .volatile)]), .init(2, [.read, .increment()])]
        ) {
            $0.budget.breaks = 1
            $0.budget.evictions = 1
            $0.budget.homeTicks = 1
            $0.budget.requestorTicks = 1
        },
        SmallWorldPlan(
            "silent writes and a takeover",
            [.init(1, [.set("a", .volatile), .set("b", .volatile)]), .init(2, [.read, .set("c")])]
        ) {
            $0.budget.takeovers = 1
            $0.budget.flushes = 1
        },
        SmallWorldPlan("a silent owner is removed", [.init(1, owner), .init(2, [.read, .set("c", .volatile)])]) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("a silent owner comes back", [.init(1, owner), .init(2, [.read])]) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("silent writes and a full log", [.init(1, owner + [.increment()]), .init(2, [.read, .read])]) {
            $0.budget.refusals = 1
            $0.budget.flushes = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan(
            "silent values expire",
            [.init(1, [.set("a", .volatile), .expiring("b", .volatile), .read]), .init(2, [.read])]
        ) {
            $0.budget.hours = 1
            $0.budget.flushes = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("silent writes are removed with everything", [.init(1, owner + [.read]), .init(2, [.read])]) {
            $0.budget.clearings = 1
        },
        SmallWorldPlan("a silent owner's lease is lost and found", [.init(1, owner + [.set("c")]), .init(2, [.read])]) {
            $0.budget.lapses = 1
            $0.budget.revivals = 1
        },
        SmallWorldPlan("a silent owner gives up", [.init(1, owner + [.increment(), .read]), .init(2, [.read])]) {
            $0.budget.timeouts = 1
        },
    ]

    private static let owner: [ClientOperation] = [.set("a", .volatile), .set("b", .volatile)]

    /// For machines that have the time (`SYNCLINE_EXHAUSTIVE=1`).
    static let large: [SmallWorldPlan] = [
        SmallWorldPlan(
            "large: eviction and hints",
            [.init(0, [.set("a")]), .init(1, [.read, .read, .read]), .init(2, [.read, .set("b")])]
        ) { $0.budget.evictions = 2 },
        SmallWorldPlan("large: a member is removed", [.init(1, [.read, .read, .read]), .init(2, [.set("a"), .read])]) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan(
            "large: a takeover",
            [.init(0, [.read, .read]), .init(1, [.set("a"), .read]), .init(2, [.read])]
        ) { $0.budget.takeovers = 1 },
        SmallWorldPlan(
            "large: a takeover with repetitions",
            [.init(1, [.set("a"), .read]), .init(2, [.read, .increment()])]
        ) {
            $0.budget.takeovers = 1
            $0.budget.requestorTicks = 1
            $0.first = Array("1".utf8)
        },
        SmallWorldPlan("large: two takeovers", [.init(1, [.set("a")]), .init(2, [.read, .read])]) {
            $0.budget.takeovers = 2
        },
        SmallWorldPlan("large: a takeover and a broken link", [.init(1, [.set("a")]), .init(2, [.read, .read])]) {
            $0.budget.takeovers = 1
            $0.budget.breaks = 1
            $0.budget.requestorTicks = 1
        },
        SmallWorldPlan("large: a takeover and a removal", [.init(1, [.set("a")]), .init(2, [.read, .read])]) {
            $0.budget.takeovers = 1
            $0.budget.lapses = 1
            $0.budget.removals = 1
        },
        SmallWorldPlan("large: a newcomer", [.init(1, [.set("a"), .read]), .init(2, [.read, .read])]) {
            $0.members = [0, 1]
            $0.budget.takeovers = 1
            $0.budget.joins = 1
        },
        SmallWorldPlan(
            "large: a silent owner is removed",
            [.init(1, owner + [.read]), .init(2, [.read, .set("c", .volatile)])]
        ) {
            $0.budget.lapses = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
    ]
}
