// SPDX-License-Identifier: Apache-2.0
package import CacheCore

extension RefusalText {
    /// In Redis' own words where Redis has the same refusal, because clients look for them.
    package init(_ refusal: CacheRefusal) {
        switch refusal {
        case .notInteger: self.init(code: "invalid", detail: "value is not an integer or out of range")
        case .overflow: self.init(code: "invalid", detail: "increment or decrement would overflow")
        case .notFloat: self.init(code: "invalid", detail: "value is not a valid float")
        case .notFinite: self.init(code: "invalid", detail: "increment would produce NaN or Infinity")
        case .tooLong:
            self.init(code: "invalid", detail: "string exceeds maximum allowed size (proto-max-bulk-len)")
        case .keyTooLong:
            self.init(code: "invalid", detail: "a key may have \(CacheLimits.keyBytes) bytes; nothing was done")
        case .outOfMemory: self.init(code: "oom", detail: "command not allowed when used memory > 'maxmemory'.")
        case .fenced:
            self.init(
                code: "fenced",
                detail: "the lock's token is out of date: another holder may have had it since; nothing was done"
            )
        case .tooDirty:
            self.init(
                code: "busy",
                detail: "too much waits to be written back to the memory; nothing was done, try again shortly"
            )
        case .memoryDown: self.init(code: "backend_down", detail: Self.memoryDown("the memory cannot be reached"))
        }
    }

    package init(_ failure: CacheFailure) {
        switch failure {
        case .busy(let reason): self.init(code: "busy", detail: "\(reason); nothing was done, try again shortly")
        case .unavailable(let reason):
            self.init(code: "unavailable", detail: "\(reason); nothing was done, try again")
        case .unknown(let reason):
            self.init(
                code: "unknown",
                detail: "\(reason); the outcome is unknown: read the key to see whether it was done"
            )
        case .partly(let reason): self.init(code: "partly_done", detail: "\(reason); the rest was done")
        case .memoryDown(let reason): self.init(code: "backend_down", detail: Self.memoryDown(reason))
        case .disabled: self.init(code: "invalid", detail: "this node does not serve the cache (roles)")
        }
    }

    private static func memoryDown(_ reason: String) -> String { "\(reason); nothing was done, try again" }
}
