// SPDX-License-Identifier: Apache-2.0

/// A setting's text, read as its kind says.
enum SettingValue: Sendable, Equatable {
    case integer(Int)
    case boolean(Bool)
    case text(String)
    case hexadecimal([UInt8])
    case peers([PeerAddress])

    init(_ text: String, as kind: SettingKind) throws(SettingValueError) {
        switch kind {
        case .integer(let range): self = .integer(try Self.integer(text, unit: "", in: range))
        case .bytes(let range): self = .integer(try Self.bytes(text, in: range))
        case .boolean: self = .boolean(try Self.boolean(text))
        case .choice(let names):
            guard names.contains(text) else {
                let suggestion = Suggestion.nearest(to: text, in: names).map { "did you mean '\($0)'? " } ?? ""
                throw SettingValueError(
                    "'\(text)' is not known",
                    "\(suggestion)choose one of \(names.joined(separator: ", "))"
                )
            }
            self = .text(text)
        case .text(let maximum):
            guard !text.isEmpty else { throw SettingValueError("it is empty", "give it a value or leave it out") }
            guard text.utf8.count <= maximum, !text.utf8.contains(0) else {
                throw SettingValueError("it is longer than \(maximum) bytes or holds a NUL", "shorten it")
            }
            self = .text(text)
        case .nodeName:
            guard NodeName.isValid(text) else {
                throw SettingValueError("'\(text)' is not a node name", "use a \(kind.summary), for example node-0")
            }
            self = .text(text)
        case .hexadecimal(let count):
            let digits = text.utf8.compactMap(\.hexadecimalValue)
            guard digits.count == text.utf8.count, digits.count == count * 2, digits.contains(where: { $0 != 0 }) else {
                throw SettingValueError("'\(text)' is not such an id", "use \(kind.summary), not all zero")
            }
            self = .hexadecimal(stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] })
        case .peers: self = .peers(try PeerAddress.parse(text))
        }
    }

    private static func integer(_ text: String, unit: String, in range: ClosedRange<Int>) throws(SettingValueError)
        -> Int
    {
        guard let number = Int(text) else {
            if text.hasPrefix("tcp://") || text.hasPrefix("udp://") {
                throw SettingValueError(
                    "'\(text)' is an address that Kubernetes sets for a service of this name",
                    "set enableServiceLinks: false in the pod, or give the service another name"
                )
            }
            throw SettingValueError(
                "'\(text)' is not a whole number",
                "use a number in \(range.lowerBound)–\(range.upperBound)"
            )
        }
        guard range.contains(number) else {
            throw SettingValueError(
                "\(number) is outside \(range.lowerBound)–\(range.upperBound)",
                "use a number in that range"
            )
        }
        return number
    }

    private static func bytes(_ text: String, in range: ClosedRange<Int>) throws(SettingValueError) -> Int {
        let kind = SettingKind.bytes(range)
        for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where text.hasSuffix(unit) {
            guard let number = Int(text.dropLast(unit.count)) else { break }
            let (count, overflow) = number.multipliedReportingOverflow(by: size)
            guard !overflow, range.contains(count) else {
                throw SettingValueError("\(text) is outside its range", "use \(kind.summary)")
            }
            return count
        }
        guard let count = Int(text) else {
            throw SettingValueError("'\(text)' is not a number of bytes", "use \(kind.summary), for example 64MiB")
        }
        guard range.contains(count) else {
            throw SettingValueError("\(text) bytes is outside its range", "use \(kind.summary)")
        }
        return count
    }

    private static func boolean(_ text: String) throws(SettingValueError) -> Bool {
        switch text.lowercased() {
        case "true", "yes", "on", "1": true
        case "false", "no", "off", "0": false
        default: throw SettingValueError("'\(text)' is neither true nor false", "use true or false")
        }
    }
}

extension UInt8 {
    fileprivate var hexadecimalValue: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
