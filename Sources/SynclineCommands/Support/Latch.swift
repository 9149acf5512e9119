// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// A switch that is turned on once, from any thread.
final class Latch: Sendable {
    private let state = Atomic(false)

    var isSet: Bool { state.load(ordering: .acquiring) }

    func set() { state.store(true, ordering: .releasing) }
}
