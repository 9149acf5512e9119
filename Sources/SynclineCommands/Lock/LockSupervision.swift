// SPDX-License-Identifier: Apache-2.0
import SynclineClient

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What `syncline lock` does while its command runs: a value without clock, process or session, so that each rule of it
/// can be tested.
///
/// In jeopardy the command's group gets TERM, to finish while it still has the lock. KILL follows at a margin before
/// the session's deadline, which itself comes before the cluster gives the lock to anyone else. A session that is
/// renewed in between takes the KILL back, but the TERM has been sent.
struct LockSupervision {
    enum Event: Equatable {
        case session(SessionState)
        /// The moment before the session's deadline has come.
        case killDue
        case child(ChildEvent)
        /// This process received a signal.
        case signal(Int32)
    }

    enum Action: Equatable {
        case signalGroup(Int32)
        case say(String)
        /// The child was stopped from the terminal: stop with it, and go on with it.
        case stopWithChild
        /// Give the lock back if it is still there, and exit so.
        case finish(Int32)
    }

    private var state = SessionState.live
    private var wasTold = false
    private var wasKilled = false

    /// Between KILL and the session's deadline: time for the signal to be delivered to a busy machine's processes.
    static func margin(ttl: Duration) -> Duration { min(max(ttl / 20, .milliseconds(50)), .milliseconds(500)) }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .session(let new):
            state = new
            return sessionChanged()
        case .killDue: return kill("the cluster could not be reached in time, so the command is killed")
        case .signal(let number): return [.signalGroup(number)]
        case .child(.stopped): return [.stopWithChild]
        case .child(.exited(let code)):
            return [.finish(endedByLoss(wasSignalled: false) ? ExitStatus.lost.rawValue : code)]
        case .child(.signalled(let number)):
            return [.finish(endedByLoss(wasSignalled: true) ? ExitStatus.lost.rawValue : 128 + number)]
        }
    }

    private mutating func sessionChanged() -> [Action] {
        switch state {
        case .live: return wasTold && !wasKilled ? [.say("the session is renewed again")] : []
        case .inJeopardy(let remaining):
            guard !wasTold else { return [] }
            wasTold = true
            let seconds = Double(remaining.components.seconds) + Double(remaining.components.attoseconds) / 1e18
            let tenths = Int(seconds * 10)
            return [
                .say(
                    "the cluster does not answer, and the lock is lost in \(tenths / 10).\(tenths % 10) s: "
                        + "SIGTERM to the command"
                ),
                .signalGroup(SIGTERM),
            ]
        case .lost(.closed): return []
        case .lost(.expired): return kill("the session is lost: no renewal was answered in time")
        case .lost(.ended(let reason)): return kill("the session is lost: \(reason)")
        }
    }

    private mutating func kill(_ reason: String) -> [Action] {
        guard !wasKilled, state != .live else { return [] }
        wasKilled = true
        wasTold = true
        return [.say("\(reason): SIGKILL to the command"), .signalGroup(SIGKILL)]
    }

    /// Whether the command's end is to be laid to the loss of the lock, and not to the command.
    private func endedByLoss(wasSignalled: Bool) -> Bool { wasKilled || (wasTold && (state != .live || wasSignalled)) }
}
