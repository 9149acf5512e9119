// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// Writes of several keys, all in flight together, which keeps their order where keys are the same.
final class CacheWriteBatch {
    private let writes: [CacheWrite]
    private let completion: (CacheResult) -> Void
    private var results: [CacheWriteResult?]
    private var open: Int

    init(_ writes: [CacheWrite], _ completion: @escaping (CacheResult) -> Void) {
        self.writes = writes
        self.completion = completion
        results = Array(repeating: nil, count: writes.count)
        open = writes.count
    }

    func begin(_ port: any CachePort, _ timeout: Interval?) {
        let options = CacheWriteOptions(timeout: timeout)
        for (index, write) in writes.enumerated() {
            port.write(write.key, write.operation, options) { self.answered(index, $0) }
        }
    }

    private func answered(_ index: Int, _ result: CacheWriteResult) {
        results[index] = result
        open -= 1
        guard open == 0 else { return }
        var tally = Tally()
        for case (let write, let result?) in zip(writes, results) { tally.add(write.key, result) }
        guard let failure = tally.failure(of: writes.count) else { return completion(.writes(tally.written)) }
        completion(.failed(failure))
    }
}

/// What became of each of several writes.
private struct Tally {
    /// A failure that is told for all keys that met it.
    struct Failed {
        var reason: RefusalText
        var keys: [CacheKey]
    }

    var written: [CacheWritten] = []
    /// Keys that were there and are no more.
    private var removed: Int64 = 0
    private var undone: [Failed] = []
    private var unknown: [Failed] = []

    mutating func add(_ key: CacheKey, _ result: CacheWriteResult) {
        switch result {
        case .answered(.refused(let reason), _): Self.add(key, RefusalText(reason), &undone)
        case .failed(.unknown(let reason)), .failed(.partly(let reason)):
            Self.add(key, RefusalText(code: "unknown", detail: reason), &unknown)
        case .failed(let failure): Self.add(key, RefusalText(failure), &undone)
        case .answered(let answer, let version):
            written.append(CacheWritten(answer, version))
            if case .count(let count) = answer { removed += count }
        }
    }

    private static func add(_ key: CacheKey, _ reason: RefusalText, _ list: inout [Failed]) {
        if let place = list.firstIndex(where: { $0.reason == reason }) {
            list[place].keys.append(key)
        } else {
            list.append(Failed(reason: reason, keys: [key]))
        }
    }

    /// Nil when each was answered. That something may have been done outranks that something was, and that outranks
    /// why something was not: what a code says has to hold for all keys.
    func failure(of count: Int) -> RefusalText? {
        let failed = unknown + undone
        guard let first = failed.first else { return nil }
        guard count > 1 else {
            return unknown.isEmpty ? first.reason : RefusalText(CacheFailure.unknown(reason: first.reason.detail))
        }
        let done = "\(written.count) of \(count) keys were carried out" + (removed > 0 ? " (\(removed) removed)" : "")
        if written.isEmpty, unknown.isEmpty, failed.count == 1 {
            return RefusalText(code: first.reason.code, detail: "\(first.reason.detail); \(done)")
        }
        let open = unknown.map { "unknown, read them to see: \(KeyList.text($0.keys)) (\($0.reason.detail))" }
        let not = undone.map { "not done: \(KeyList.text($0.keys)) (\($0.reason.line))" }
        let code = !unknown.isEmpty ? "unknown" : written.isEmpty ? first.reason.code : "partly_done"
        return RefusalText(code: code, detail: ([done] + open + not).joined(separator: "; "))
    }
}

/// Keys as an error names them: on one line, whatever bytes they have, and no more than a person reads.
enum KeyList {
    static let maxKeys = 16
    static let maxBytes = 64

    static func text(_ keys: [CacheKey]) -> String {
        var parts = keys.prefix(maxKeys).map(text)
        if keys.count > maxKeys { parts.append("and \(keys.count - maxKeys) more") }
        return parts.joined(separator: ", ")
    }

    private static func text(_ key: CacheKey) -> String {
        var text = "'"
        for byte in key.bytes.prefix(maxBytes) {
            switch byte {
            case UInt8(ascii: "'"), UInt8(ascii: "\\"): text += "\\" + String(UnicodeScalar(byte))
            case 0x20...0x7e: text.unicodeScalars.append(UnicodeScalar(byte))
            default: text += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
            }
        }
        return text + (key.bytes.count > maxBytes ? "…'" : "'")
    }
}
