// SPDX-License-Identifier: Apache-2.0
import Glibc
import Synchronization

/// What a test reports when the cluster did not do in time what it must.
struct TestFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A broken promise of the cluster, not something that is merely not there yet: `eventually` does not wait it out.
struct Violation: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A point in monotonic time after which waiting is given up.
struct Deadline {
    let instant: ContinuousClock.Instant

    init(within limit: Duration) { self.instant = .now + limit }

    var hasPassed: Bool { ContinuousClock.now >= instant }

    /// What is left, in whole milliseconds as `poll(2)` takes it; 0 once the deadline has passed.
    var remainingMilliseconds: Int32 {
        let left = instant - .now
        guard left > .zero else { return 0 }
        let milliseconds = left.components.seconds * 1_000 + left.components.attoseconds / 1_000_000_000_000_000
        return Int32(clamping: milliseconds + 1)
    }
}

/// The time one test may take on its cluster. Many waits that each end in time can still add up to a fault.
enum TestBudget {
    private static let deadline = Mutex<ContinuousClock.Instant?>(nil)

    static func begin(_ limit: Duration) { deadline.withLock { $0 = .now + limit } }

    static func end() { deadline.withLock { $0 = nil } }

    static func check(_ what: String) throws {
        if let deadline = deadline.withLock({ $0 }), ContinuousClock.now > deadline {
            throw Violation("the test took too long, at: \(what)")
        }
    }
}

/// Asks `condition` again and again until it holds; its errors count as "not yet" and the last is reported.
///
/// This is the only place in these tests that lets time pass, and it does so between two looks at a condition.
func eventually(
    _ what: String,
    within limit: Duration = .seconds(15),
    every pause: Duration = .milliseconds(10),
    _ condition: () throws -> Bool
) throws {
    let deadline = Deadline(within: limit)
    var lastError: (any Error)?
    while true {
        try TestBudget.check(what)
        do {
            lastError = nil
            if try condition() { return }
        } catch let violation as Violation {
            throw violation
        } catch { lastError = error }
        if deadline.hasPassed {
            throw TestFailure("not within \(limit): \(what)" + (lastError.map { " (last error: \($0))" } ?? ""))
        }
        poll(nil, 0, Int32(clamping: pause.components.attoseconds / 1_000_000_000_000_000))
    }
}

/// As `eventually`, for a value that is there at last.
func eventually<Value>(
    _ what: String,
    within limit: Duration = .seconds(15),
    every pause: Duration = .milliseconds(10),
    value: () throws -> Value?
) throws -> Value {
    var found: Value?
    try eventually(what, within: limit, every: pause) {
        found = try value()
        return found != nil
    }
    guard let found else { throw TestFailure(what) }
    return found
}

/// Requires that `condition` holds at every look for `span`; for what must *not* happen.
func throughout(
    _ what: String,
    _ span: Duration,
    every pause: Duration = .milliseconds(50),
    _ condition: () throws -> Bool
) throws {
    let deadline = Deadline(within: span)
    while !deadline.hasPassed {
        try TestBudget.check(what)
        guard try condition() else { throw TestFailure("did not stay so for \(span): \(what)") }
        poll(nil, 0, Int32(clamping: pause.components.attoseconds / 1_000_000_000_000_000))
    }
}
