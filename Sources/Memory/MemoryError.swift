// SPDX-License-Identifier: Apache-2.0

package enum MemoryError: Error, Sendable, Equatable {
    /// Not connected, no answer in time, or the server cannot serve now. Whether a write was done is not known; doing
    /// it again is harmless.
    case down(reason: String)
    /// Too much is under way; nothing was done.
    case busy(reason: String)
    /// A later home has raised the fence; nothing was done.
    case fenced(by: UInt64)
    /// The fence of this epoch is not there: the memory lost its data. Nothing was done; raise the fence anew.
    case lost
    case outOfMemory
    case readOnly
    case loading
    /// MISCONF: the server cannot save and is set to refuse writes then.
    case misconfigured
    /// Any other refusal, or an answer that makes no sense.
    case refused(text: String)
    /// The key or value is longer than `CacheLimits` allows.
    case tooLarge

    /// - Parameter reply: the text of an error reply, its code first.
    init(reply: String) {
        if let known = Self.known(code: reply.prefix { $0 != " " }, reply) {
            self = known
            return
        }
        // Before version 7 an error inside a script came wrapped in a text about the script.
        let inner = reply.split(separator: " ").first { $0.first == "-" && $0.dropFirst().allSatisfy(\.isUppercase) }
        self = inner.flatMap { Self.known(code: $0.dropFirst(), reply) } ?? .refused(text: reply)
    }

    private static func known(code: Substring, _ reply: String) -> MemoryError? {
        switch code {
        case "OOM": .outOfMemory
        case "READONLY": .readOnly
        case "LOADING": .loading
        case "MISCONF": .misconfigured
        case "BUSY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "NOREPLICAS": .down(reason: reply)
        default: nil
        }
    }
}

extension MemoryError: CustomStringConvertible {
    package var description: String {
        switch self {
        case .down(let reason), .busy(let reason): reason
        case .fenced(let epoch): "epoch \(epoch) has taken over"
        case .lost: "the memory has lost its data"
        case .outOfMemory: "the memory is full (OOM)"
        case .readOnly: "the memory is a read-only replica (READONLY)"
        case .loading: "the memory is loading its data (LOADING)"
        case .misconfigured: "the memory cannot save its data and refuses writes (MISCONF)"
        case .refused(let text): text
        case .tooLarge: "the key or value is too long"
        }
    }
}
