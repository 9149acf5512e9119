// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives

/// The members of a JSON object, or the parameters of a query, read by name and type. Whatever the operation does not
/// know is an error: a misspelt `wait_ms` must not silently become a try.
struct JSONFields {
    private let members: [JSONValue.Member]

    init(_ value: JSONValue, allowed: [Field]) throws(BadRequest) {
        guard let members = value.members else { throw .wrongType("body", expected: "an object") }
        self.members = members
        let names = allowed.map(\.json)
        for member in members where !names.contains(member.name) {
            throw .unknownField(
                String(member.name.prefix(64)),
                suggestion: Suggestion.nearest(to: member.name, among: names)
            )
        }
    }

    /// `null` counts as absent.
    func value(_ field: Field) -> JSONValue? {
        let value = members.first { $0.name == field.json }?.value
        return value == .null ? nil : value
    }

    func string(_ field: Field) throws(BadRequest) -> String? {
        guard let value = value(field) else { return nil }
        guard let text = value.string else { throw .wrongType(field.json, expected: "a string") }
        return text
    }

    func integer(_ field: Field) throws(BadRequest) -> Int64? {
        switch value(field) {
        case nil: return nil
        case .integer(let number): return number
        case .unsigned: throw .notANumber(field)
        default: throw .wrongType(field.json, expected: "an integer")
        }
    }

    func mode() throws(BadRequest) -> LockMode? {
        guard let text = try string(.mode) else { return nil }
        return try RequestBuilder.mode(text)
    }

    /// Milliseconds, or the string "forever".
    func wait() throws(BadRequest) -> Wait? {
        if value(.wait)?.string?.lowercased() == "forever" { return .forever }
        if value(.wait)?.string != nil { throw .wrongType(Field.wait.json, expected: "an integer or \"forever\"") }
        return try integer(.wait).map { number throws(BadRequest) in
            try RequestBuilder.wait(milliseconds: number)
        }
    }

    func locks() throws(BadRequest) -> [(name: String, mode: LockMode)] {
        guard let value = value(.locks) else { throw .missing(.locks) }
        guard let elements = value.array else { throw .wrongType("locks", expected: "an array of {name, mode}") }
        var result: [(name: String, mode: LockMode)] = []
        for element in elements {
            guard element.members != nil else { throw .wrongType("locks", expected: "an array of {name, mode}") }
            let fields = try JSONFields(element, allowed: [.name, .mode])
            guard let name = try fields.string(.name) else { throw .missing(.name) }
            result.append((name, try fields.mode() ?? .exclusive))
        }
        return result
    }
}
