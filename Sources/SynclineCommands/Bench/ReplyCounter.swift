// SPDX-License-Identifier: Apache-2.0

/// Counts replies as they stream by and keeps none of them: a load generator shares the machine with what it measures,
/// and hundreds of thousands of replies a second are of interest by their number alone.
struct ReplyCounter {
    private enum State {
        case type
        case number
        case text
        case body(Int)
    }

    private(set) var replies = 0
    private(set) var nulls = 0
    private(set) var errors = 0
    /// Of the first error, or why the bytes are no replies of this kind.
    private(set) var firstError: String?
    /// The bytes are something that cannot be counted: the rest means nothing.
    private(set) var isLost = false
    private var state = State.type
    private var length = 0
    private var isNegative = false
    private var isError = false
    private var errorText: [UInt8] = []

    /// Scalars and bulk strings only.
    mutating func read(_ bytes: UnsafeRawBufferPointer) {
        var place = 0
        while place < bytes.count, !isLost {
            switch state {
            case .type:
                begin(bytes[place])
                place += 1
            case .number:
                digit(bytes[place])
                place += 1
            case .text:
                text(bytes[place])
                place += 1
            case .body(let left):
                let taken = min(left, bytes.count - place)
                place += taken
                if taken == left { end() } else { state = .body(left - taken) }
            }
        }
    }

    private mutating func begin(_ type: UInt8) {
        switch type {
        case UInt8(ascii: "$"):
            (length, isNegative) = (0, false)
            state = .number
        case UInt8(ascii: "-"):
            isError = true
            errorText = []
            state = .text
        case UInt8(ascii: "_"):
            nulls += 1
            state = .text
        case UInt8(ascii: "+"), UInt8(ascii: ":"), UInt8(ascii: "#"), UInt8(ascii: ","): state = .text
        default: lose("a reply begins with byte \(type)")
        }
    }

    private mutating func digit(_ byte: UInt8) {
        switch byte {
        case 0x30...0x39:
            length = length * 10 + Int(byte - 0x30)
            if length > 1 << 32 { lose("a reply is too long") }
        case UInt8(ascii: "-"): isNegative = true
        case 0x0d: break
        case 0x0a:
            guard isNegative else {
                state = .body(length + 2)
                return
            }
            nulls += 1
            end()
        default: lose("a length has byte \(byte)")
        }
    }

    private mutating func text(_ byte: UInt8) {
        guard byte == 0x0a else {
            if isError, byte != 0x0d, errorText.count < 200 { errorText.append(byte) }
            return
        }
        if isError {
            errors += 1
            firstError = firstError ?? String(decoding: errorText, as: UTF8.self)
            isError = false
        }
        end()
    }

    private mutating func end() {
        replies += 1
        state = .type
    }

    private mutating func lose(_ reason: String) {
        firstError = firstError ?? reason
        errors += 1
        isLost = true
    }
}
