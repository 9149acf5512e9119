// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives

/// The rules of DESIGN §5 in their plainest form, to compare the lock state with. One list of holds, one list of
/// waiting requests by age; lines, grants and deadlocks are worked out anew at each question. Shares no code with the
/// real one.
struct LockModel {
    struct Hold: Equatable {
        var session: String
        var name: String
        var mode: LockMode
        var count: UInt64
    }

    struct Request: Equatable {
        var number: UInt64
        var session: String
        var items: [AcquireItem]
        var isConversion = false
        /// Zero for locks.
        var permits: UInt64 = 0
    }

    enum Verdict: Equatable {
        case granted
        case waits
        case notAcquired
        case refused
        case released(UInt64)
    }

    var sessions: [String] = []
    var holds: [Hold] = []
    /// By age.
    var requests: [Request] = []
    /// Semaphores in use and their limits.
    var limits: [(name: String, limit: UInt64)] = []
    var delayed: [String] = []
    /// Sessions that declare an owner. A session or lock named `n/x` is in namespace n.
    var owners: [(session: String, owner: String)] = []

    static func namespace(_ name: String) -> String {
        name.contains("/") ? String(name.prefix { $0 != "/" }) : "default"
    }

    private func owner(_ session: String) -> String? { owners.first { $0.session == session }?.owner }

    /// Two sessions whose waits hold each other up: the same one, or of one owner in different namespaces.
    private func isOneAgent(_ left: String, _ right: String) -> Bool {
        if left == right { return true }
        guard let owner = owner(left) else { return false }
        return owner == self.owner(right) && Self.namespace(left) != Self.namespace(right)
    }

    func hold(_ session: String, _ name: String) -> Hold? { holds.first { $0.session == session && $0.name == name } }

    /// The items of a request that stand in lines: a set bypasses the lines of what its session holds.
    func lineItems(_ request: Request) -> [AcquireItem] {
        request.isConversion || request.permits > 0
            ? request.items : request.items.filter { hold(request.session, $0.name.text) == nil }
    }

    func line(_ name: String) -> [Request] {
        let here = requests.filter { lineItems($0).contains { $0.name.text == name } }
        return here.filter(\.isConversion) + here.filter { !$0.isConversion }
    }

    private func fits(_ request: Request, _ item: AcquireItem) -> Bool {
        let name = item.name.text
        if delayed.contains(name) { return false }
        let others = holds.filter { $0.name == name && $0.session != request.session }
        if request.permits > 0 {
            let used = holds.filter { $0.name == name }.reduce(0) { $0 + $1.count }
            return used + request.permits <= limits.first { $0.name == name }!.limit
        }
        return others.allSatisfy { hold in
            switch (hold.mode, item.mode) {
            case (.shared, .shared), (.shared, .update), (.update, .shared): true
            default: false
            }
        }
    }

    private func canBeGranted(_ request: Request) -> Bool {
        lineItems(request).allSatisfy { item in
            line(item.name.text).first == request && fits(request, item)
        }
    }

    private mutating func give(_ request: Request) {
        requests.removeAll { $0 == request }
        for item in request.items {
            if let at = holds.firstIndex(where: { $0.session == request.session && $0.name == item.name.text }) {
                if request.isConversion {
                    holds[at].mode = item.mode
                } else {
                    holds[at].count += max(1, request.permits)
                }
            } else {
                holds.append(
                    Hold(
                        session: request.session,
                        name: item.name.text,
                        mode: item.mode,
                        count: max(1, request.permits)
                    )
                )
            }
        }
    }

    /// Grants whatever can be granted; the numbers of the granted requests.
    mutating func settle() -> [UInt64] {
        var granted: [UInt64] = []
        while let next = requests.first(where: { canBeGranted($0) }) {
            give(next)
            granted.append(next.number)
        }
        limits.removeAll { entry in
            !holds.contains { $0.name == entry.name }
                && !requests.contains { $0.items.contains { $0.name.text == entry.name } }
        }
        return granted
    }

    /// The sessions that can never go on: all who do not wait let go of everything, over and over; who still waits then
    /// is deadlocked.
    func deadlocked() -> [String] {
        var copy = self
        copy.delayed = []
        while true {
            let waiting = copy.requests.map(\.session)
            let before = copy.holds.count
            copy.holds.removeAll { hold in !waiting.contains { isOneAgent(hold.session, $0) } }
            let granted = copy.settle()
            if granted.isEmpty, copy.holds.count == before { return waiting }
        }
    }

    // Commands

    mutating func acquire(_ request: Request, limit: UInt64 = 0, waits: Bool) -> Verdict {
        guard sessions.contains(request.session) else { return .refused }
        for item in request.items {
            let name = item.name.text
            let own = requests.filter { $0.session == request.session }
            if own.contains(where: { lineItems($0).contains { $0.name == item.name } }) { return .refused }
            if request.permits == 0, let hold = hold(request.session, name), hold.mode.rawValue < item.mode.rawValue {
                return .refused
            }
        }
        if request.permits > 0, !limits.contains(where: { $0.name == request.items[0].name.text }) {
            limits.append((request.items[0].name.text, limit))
        }
        return enter(request, waits: waits)
    }

    private mutating func enter(_ request: Request, waits: Bool) -> Verdict {
        requests.append(request)
        if canBeGranted(request) {
            give(request)
            return .granted
        }
        if waits { return .waits }
        requests.removeLast()
        return .notAcquired
    }

    mutating func convert(_ request: Request, waits: Bool) -> Verdict {
        let item = request.items[0]
        let name = item.name.text
        guard let hold = hold(request.session, name) else { return .refused }
        if requests.contains(where: { $0.session == request.session && lineItems($0).contains { $0.name == item.name } }
        ) {
            return .refused
        }
        if item.mode.rawValue <= hold.mode.rawValue {
            for at in holds.indices where holds[at] == hold { holds[at].mode = item.mode }
            dropSets(request.session, name, needing: item.mode)
            return .granted
        }
        let upgrades = requests.filter { $0.isConversion && $0.items[0].name == item.name }
        if hold.mode == .shared, upgrades.contains(where: { $0.items[0].mode == .exclusive }) { return .refused }
        if hold.mode == .update, waits, !upgrades.isEmpty {
            let losers = upgrades.filter { self.hold($0.session, name)?.mode == .shared }
            requests.removeAll { losers.contains($0) }
        }
        return enter(request, waits: waits)
    }

    /// A wait that counted on a hold ends with it.
    private mutating func dropSets(_ session: String, _ name: String, needing mode: LockMode?) {
        requests.removeAll { request in
            guard request.session == session, request.permits == 0 else { return false }
            guard let item = request.items.first(where: { $0.name.text == name }) else { return false }
            return item.mode.rawValue > (mode?.rawValue ?? 0)
        }
    }

    mutating func release(_ session: String, _ name: String, permits: UInt64 = 1) -> Verdict {
        guard let at = holds.firstIndex(where: { $0.session == session && $0.name == name }),
            permits <= holds[at].count
        else { return .refused }
        holds[at].count -= permits
        let left = holds[at].count
        if left == 0 {
            dropSets(session, name, needing: nil)
            holds.remove(at: at)
        }
        return .released(left)
    }

    mutating func end(_ session: String) {
        sessions.removeAll { $0 == session }
        requests.removeAll { $0.session == session }
        holds.removeAll { $0.session == session }
    }

    mutating func breakLock(_ name: String) {
        for hold in holds where hold.name == name { dropSets(hold.session, name, needing: nil) }
        holds.removeAll { $0.name == name }
        delayed.removeAll { $0 == name }
    }
}
