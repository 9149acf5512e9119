// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

extension SmallWorldPlan {
    /// Nodes that end without warning after writes of the mode `local`, and come back with what they had journalled.
    static let journalled: [SmallWorldPlan] = [
        SmallWorldPlan("an owner ends, and others read", [.init(1, owner), .init(2, [.read, .read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan("an owner ends, and another node writes", [.init(1, owner), .init(2, [.set("x"), .read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
            $0.budget.homeTicks = 1
        },
        SmallWorldPlan(
            "an owner ends, and another node writes without the log",
            [.init(1, owner), .init(2, [.read, .set("x", .local), .set("y", .local)])]
        ) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
        },
        SmallWorldPlan("an owner ends twice", [.init(1, owner + [.read]), .init(2, [.read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 2
            $0.budget.joins = 2
        },
        SmallWorldPlan("an owner ends, and the home moves", [.init(1, owner), .init(2, [.read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.takeovers = 1
        },
        SmallWorldPlan(
            "an owner ends after writes that were not journalled",
            [.init(1, owner + [.set("d", .volatile), .increment(.local)]), .init(2, [.read])]
        ) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.joins = 1
            $0.budget.flushes = 1
        },
        SmallWorldPlan("an owner ends while its line leaves", [.init(1, owner + [.read]), .init(2, [.read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.joins = 1
            $0.budget.evictions = 1
            $0.budget.requestorTicks = 1
        },
    ]

    /// For machines that have the time (`SYNCLINE_EXHAUSTIVE=1`).
    static let largeJournalled: [SmallWorldPlan] = [
        SmallWorldPlan(
            "large: an owner ends twice",
            [.init(1, owner + [.set("d", .local), .read]), .init(2, [.read])]
        ) {
            $0.opening = toOwner
            $0.budget.crashes = 2
            $0.budget.joins = 2
            $0.budget.flushes = 1
        },
        SmallWorldPlan("large: an owner ends, and the home moves", [.init(1, owner), .init(2, [.read])]) {
            $0.opening = toOwner
            $0.budget.crashes = 1
            $0.budget.takeovers = 1
            $0.budget.removals = 1
            $0.budget.joins = 1
        },
    ]

    private static let owner: [ClientOperation] = [.set("a", .local), .set("b", .local), .set("1", .local)]

    /// The first two writes go to the home, and make their node the owner.
    private static let toOwner: [SmallWorldEvent] = Array(
        repeatElement(
            [
                .start(client: 0), .deliver(from: 1, to: 0, connection: 0), .apply(home: 0),
                .deliver(from: 0, to: 1, connection: 0),
            ],
            count: 2
        ).joined()
    )
}
