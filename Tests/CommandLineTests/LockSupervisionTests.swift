// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import SynclineClient
import Testing

@testable import SynclineCommands

@Suite("syncline lock: what happens to the command")
struct LockSupervisionTests {
    typealias Event = LockSupervision.Event

    /// Signals sent to the group, and the status at the end.
    private func run(_ events: Event...) -> (signals: [Int32], status: Int32?) {
        var supervision = LockSupervision()
        var signals: [Int32] = []
        var status: Int32?
        for event in events {
            for action in supervision.handle(event) {
                switch action {
                case .signalGroup(let number): signals.append(number)
                case .finish(let code): status = code
                case .say, .stopWithChild: break
                }
            }
        }
        return (signals, status)
    }

    private let jeopardy = Event.session(.inJeopardy(remaining: .seconds(4)))

    @Test("the command's own status, 128 + n for a signal")
    func own() {
        #expect(run(.child(.exited(7))) == ([], 7))
        #expect(run(.child(.signalled(9))) == ([], 137))
        #expect(run(.session(.live), .killDue, .child(.exited(0))) == ([], 0))
    }

    @Test("TERM in jeopardy, once; KILL at the margin before the deadline")
    func terminateThenKill() {
        let result = run(jeopardy, jeopardy, .killDue, .killDue, .session(.lost(.expired)), .child(.signalled(9)))
        #expect(result == ([15, 9], SynclineCommands.ExitStatus.lost.rawValue))
    }

    @Test("a command that ends on TERM while the lock is in doubt counts as ended by the loss")
    func endsOnTerm() {
        #expect(run(jeopardy, .child(.signalled(15))) == ([15], SynclineCommands.ExitStatus.lost.rawValue))
        #expect(run(jeopardy, .child(.exited(0))) == ([15], SynclineCommands.ExitStatus.lost.rawValue))
    }

    @Test("a renewal in time takes the KILL back; the command's end is its own again unless TERM ended it")
    func recovers() {
        #expect(run(jeopardy, .session(.live), .killDue, .child(.exited(3))) == ([15], 3))
        let lost = SynclineCommands.ExitStatus.lost.rawValue
        #expect(run(jeopardy, .session(.live), .child(.signalled(15))) == ([15], lost))
    }

    @Test("KILL at once when the cluster says the session is gone")
    func ended() {
        let lost = SynclineCommands.ExitStatus.lost.rawValue
        #expect(run(.session(.lost(.ended("closed"))), .child(.signalled(9))) == ([9], lost))
    }

    @Test("signals are passed on")
    func signals() { #expect(run(.signal(2), .signal(15), .child(.signalled(15))) == ([2, 15], 143)) }

    @Test("the margin follows the time to live within its bounds")
    func margin() {
        #expect(LockSupervision.margin(ttl: .seconds(1)) == .milliseconds(50))
        #expect(LockSupervision.margin(ttl: .seconds(3600)) == .milliseconds(500))
    }
}

private func == (left: (signals: [Int32], status: Int32?), right: ([Int32], Int32)) -> Bool {
    left.signals == right.0 && left.status == right.1
}
