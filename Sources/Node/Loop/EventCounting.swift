// SPDX-License-Identifier: Apache-2.0
import LockCore
import Telemetry

extension SynclineMetrics {
    /// Counts what happened to locks and sessions, once in the cluster: at the shard's leader.
    func count(_ events: [LockEvent], isLeader: Bool) {
        guard isLeader else { return }
        for event in events {
            switch event {
            case .granted: locks.grants.increment()
            case .released: locks.releases.increment()
            case .queued: locks.waits.increment()
            case .broken: locks.breaks.increment()
            case .deadlock: locks.deadlocks.increment()
            case .sessionOpened: locks.sessionsOpened.increment()
            case .sessionEnded(_, .closed): locks.sessionsClosed.increment()
            case .sessionEnded(_, .expired): locks.sessionsExpired.increment()
            }
        }
    }
}
