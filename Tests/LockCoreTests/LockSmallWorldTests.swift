// SPDX-License-Identifier: Apache-2.0
import Foundation
import LockCore
import Primitives
import Testing

/// Three sessions, two locks, every mode: all states that can be reached, up to renaming sessions and locks, each
/// with every move (DESIGN §10). A state is who holds what and who waits in which order; slots, tokens and times are
/// left out.
@Suite("Lock small world")
struct LockSmallWorldTests {
    static let sessions = ["s1", "s2", "s3"]
    static let locks = ["a", "b"]
    /// States are visited nearest first; this many in a normal run. `SYNCLINE_EXHAUSTIVE=1` visits all.
    static let limit = ProcessInfo.processInfo.environment["SYNCLINE_EXHAUSTIVE"] == "1" ? Int.max : 250

    @Test("three sessions and two locks agree with the model whatever they do")
    func exhaustive() {
        var start = LockDuel(names: Self.locks)
        for session in Self.sessions { #expect(start.play(.open(session)) == nil) }
        start.world.checksSnapshots = false
        var seen: Set<String> = [Self.key(start.model)]
        var queue = [start]
        var next = 0
        var moves = 0
        while next < queue.count, next < Self.limit {
            let here = queue[next]
            queue[next] = start
            next += 1
            here.world.checkSnapshot()
            for move in Self.moves(here.model) {
                var there = here
                moves += 1
                if let fault = there.play(move) {
                    Issue.record("\(fault)\nafter \(Self.key(here.model))")
                    return
                }
                if seen.insert(Self.key(there.model)).inserted { queue.append(there) }
            }
        }
        #expect(next >= min(Self.limit, 250), "\(next) states, \(moves) moves")
    }

    private static func moves(_ model: LockModel) -> [LockDuel.Move] {
        var moves: [LockDuel.Move] = []
        for session in sessions {
            let waiting = model.requests.filter { $0.session == session }
            moves += waiting.map { .cancel($0.number) }
            // One agent: while a request waits it does nothing but give up.
            guard waiting.isEmpty else { continue }
            for lock in locks {
                let hold = model.hold(session, lock)
                if hold != nil { moves.append(.release(session, lock)) }
                for mode in LockMode.allCases where mode != hold?.mode {
                    moves.append(
                        hold == nil
                            ? .acquire(session, [AcquireItem(name: Name(lock), mode: mode)], waits: true)
                            : .convert(session, lock, mode, waits: true)
                    )
                }
            }
            for modes in [(LockMode.exclusive, LockMode.exclusive), (.shared, .exclusive)] {
                let items = [AcquireItem(name: "a", mode: modes.0), AcquireItem(name: "b", mode: modes.1)]
                let fits = items.allSatisfy { (model.hold(session, $0.name.text)?.mode ?? .exclusive).covers($0.mode) }
                // Counts would grow for ever.
                if fits, !items.allSatisfy({ model.hold(session, $0.name.text) != nil }),
                    model.holds.allSatisfy({ $0.count == 1 })
                {
                    moves.append(.acquire(session, items, waits: true))
                }
            }
        }
        for lock in locks where model.holds.contains(where: { $0.name == lock }) { moves.append(.breakLock(lock)) }
        return moves
    }

    private static let permutations = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

    /// The state written with the renaming that makes it smallest.
    private static func key(_ model: LockModel) -> String {
        var best: String?
        for permutation in permutations {
            for swapped in [false, true] {
                func session(_ name: String) -> Int { permutation[(sessions.firstIndex(of: name) ?? 0)] }
                func lock(_ name: String) -> String { (name == "a") != swapped ? "a" : "b" }
                let holds = model.holds.map { "\(lock($0.name))\(session($0.session))\($0.mode.rawValue)\($0.count)" }
                let requests = model.requests.map { request in
                    "\(session(request.session))\(request.isConversion ? "!" : "")"
                        + request.items.map { "\(lock($0.name.text))\($0.mode.rawValue)" }.sorted().joined()
                }
                let text = holds.sorted().joined(separator: " ") + "|" + requests.joined(separator: " ")
                if best.map({ text < $0 }) ?? true { best = text }
            }
        }
        return best ?? ""
    }
}
