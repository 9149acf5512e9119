// SPDX-License-Identifier: Apache-2.0
import NIOCore
import RESP

/// A command under construction.
struct Command: Sendable {
    private(set) var arguments: [ByteBuffer]

    init(_ words: String...) { arguments = words.map { ByteBuffer(string: $0) } }

    mutating func append(_ words: String...) {
        for word in words { arguments.append(ByteBuffer(string: word)) }
    }

    mutating func append(bytes: [UInt8]) { arguments.append(ByteBuffer(bytes: bytes)) }

    /// `WAIT …`; nothing for no wait, which is the server's default.
    mutating func append(wait: RemainingWait) {
        switch wait {
        case .none: break
        case .milliseconds(let count): append("WAIT", "\(count)")
        case .forever: append("WAIT", "FOREVER")
        }
    }

    func encoded() -> ByteBuffer {
        var writer = RESPWriter()
        writer.array(arguments.count)
        for argument in arguments { writer.bulk(argument) }
        return writer.buffer
    }
}

/// What is left of a wait when a command is sent, or sent again.
enum RemainingWait: Sendable, Equatable {
    case none
    case milliseconds(Int64)
    case forever
}

extension Duration {
    /// Whole milliseconds, rounded up, at least 0.
    var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (product, overflow) = seconds.multipliedReportingOverflow(by: 1000)
        guard !overflow else { return seconds < 0 ? 0 : .max }
        let part = (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return max(0, product.addingReportingOverflow(part).overflow ? .max : product + part)
    }
}
