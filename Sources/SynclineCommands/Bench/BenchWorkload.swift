// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import NIOCore
import Primitives
import RESP

/// One acquisition with what gives it back, encoded once and sent many times.
struct BenchOperation {
    var acquire: ByteBuffer
    var release: ByteBuffer
    /// Commands in `release`.
    var releaseCount: Int
}

enum BenchWorkload: String, ExpressibleByArgument, CaseIterable, Sendable {
    case uncontended
    case contended
    case sharedHeavy = "shared-heavy"
    case multiLock = "multi-lock"
    case renewHeavy = "renew-heavy"

    /// What one operation is, for the report.
    var unit: String { self == .renewHeavy ? "renewals" : "acquire + release pairs" }

    var waits: Bool {
        switch self {
        case .uncontended, .renewHeavy: false
        case .contended, .sharedHeavy, .multiLock: true
        }
    }

    /// The operations that one lane of one client goes through in random order.
    func operations(session: String, client: Int, lane: Int, random: inout SeededRandom) -> [BenchOperation] {
        switch self {
        case .uncontended: return [Self.pair("bench/own/\(client)/\(lane)", "EXCLUSIVE", session)]
        case .contended: return [Self.pair("bench/one", "EXCLUSIVE", session, wait: "FOREVER")]
        case .sharedHeavy:
            return (0..<20).flatMap { turn in
                (0..<16).map {
                    Self.pair("bench/shared/\($0)", turn == 0 ? "EXCLUSIVE" : "SHARED", session, wait: "FOREVER")
                }
            }
        case .multiLock: return (0..<64).map { _ in Self.several(session, &random) }
        case .renewHeavy:
            return [
                BenchOperation(
                    acquire: Self.encode([["SESSION.RENEW", session]]),
                    release: ByteBuffer(),
                    releaseCount: 0
                )
            ]
        }
    }

    private static func pair(_ name: String, _ mode: String, _ session: String, wait: String? = nil) -> BenchOperation {
        var acquire = ["LOCK.ACQUIRE", name, "SESSION", session, "MODE", mode]
        if let wait { acquire += ["WAIT", wait] }
        return BenchOperation(
            acquire: encode([acquire]),
            release: encode([["LOCK.RELEASE", name, "SESSION", session]]),
            releaseCount: 1
        )
    }

    private static func several(_ session: String, _ random: inout SeededRandom) -> BenchOperation {
        var names: [String] = []
        while names.count < 4 {
            let name = "bench/many/\(random.below(1000))"
            if !names.contains(name) { names.append(name) }
        }
        let acquire = ["LOCK.ACQUIREALL", "SESSION", session, "WAIT", "5000"] + names.flatMap { [$0, "EXCLUSIVE"] }
        return BenchOperation(
            acquire: encode([acquire]),
            release: encode(names.map { ["LOCK.RELEASE", $0, "SESSION", session] }),
            releaseCount: names.count
        )
    }

    static func encode(_ commands: [[String]]) -> ByteBuffer {
        var writer = RESPWriter()
        for command in commands { writer.command(command) }
        return writer.buffer
    }
}
