// SPDX-License-Identifier: Apache-2.0
import Primitives

/// The last results of a session's numbered requests, so that a retry gets the first answer (DESIGN §3 rule 2; the
/// scheme is RIFL's, SOSP'15). Results are kept in the order they became known.
struct RememberedResults: Sendable, Equatable {
    /// The frequent answers take no allocation; the rest are kept encoded.
    enum Result: Sendable, Equatable {
        case granted(token: UInt64, holds: UInt64)
        case converted(token: UInt64)
        case released(left: UInt64)
        case encoded([UInt8])
    }

    struct Entry: Sendable, Equatable {
        var sequence: UInt64
        var result: Result
    }

    enum Lookup {
        case unknown
        case stale
        case known(LockResponse)
    }

    private(set) var entries: [Entry] = []
    /// Where the oldest entry is, once there are `LockLimits.rememberedResults` of them.
    private(set) var oldest = 0
    /// The highest number whose result was dropped: at or below it an unknown number cannot be told from a forgotten
    /// one.
    private(set) var floor: UInt64 = 0

    init() {}

    init(entries: [Entry], oldest: Int, floor: UInt64) {
        self.entries = entries
        self.oldest = oldest
        self.floor = floor
    }

    func find(_ sequence: UInt64) -> Lookup {
        for entry in entries where entry.sequence == sequence { return .known(entry.result.response) }
        return sequence <= floor ? .stale : .unknown
    }

    mutating func remember(_ sequence: UInt64, _ response: LockResponse) {
        let entry = Entry(sequence: sequence, result: Result(response))
        guard entries.count >= LockLimits.rememberedResults else {
            entries.append(entry)
            return
        }
        floor = max(floor, entries[oldest].sequence)
        entries[oldest] = entry
        oldest = (oldest + 1) % entries.count
    }
}

extension RememberedResults.Result {
    init(_ response: LockResponse) {
        switch response {
        case .granted(let tokens, let holds) where tokens.count == 1: self = .granted(token: tokens[0], holds: holds)
        case .converted(let token): self = .converted(token: token)
        case .released(let left): self = .released(left: left)
        default:
            var writer = ByteWriter()
            response.encode(into: &writer)
            self = .encoded(writer.bytes)
        }
    }

    var response: LockResponse {
        switch self {
        case .granted(let token, let holds): return .granted(tokens: [token], holds: holds)
        case .converted(let token): return .converted(token: token)
        case .released(let left): return .released(left: left)
        case .encoded(let bytes):
            var reader = ByteReader(bytes)
            do {
                return try LockResponse(decoding: &reader)
            } catch {
                invariantFailure("a remembered result does not decode: \(error)")
            }
        }
    }
}
