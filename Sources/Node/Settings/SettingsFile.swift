// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials

/// A settings file's text: a JSON object, or lines of `key = value` with `#` comments.
package struct SettingsFile: Sendable, Equatable {
    package let path: String
    package let text: String

    package init(path: String, text: String) {
        self.path = path
        self.text = text
    }

    /// More than any sensible file; a mistaken path to a log or device ends here.
    static let maximumBytes = 1 << 20

    /// Reads the file that `--config` or `SYNCLINE_CONFIG` names; nil when neither does.
    package static func load(flags: [String], environment: [String: String]) throws(SettingsError) -> SettingsFile? {
        guard let path = try SettingsFlags(flags).configPath ?? environment["SYNCLINE_CONFIG"] else { return nil }
        func failure(_ cause: String) -> SettingsError {
            SettingsError([
                SettingProblem(
                    subject: path,
                    cause: cause,
                    remedy: "name a readable file with --config PATH, or leave it out"
                )
            ])
        }
        let data: Data
        do {
            data = try Data(contentsOf: URL(filePath: path))
        } catch {
            throw failure("the settings file cannot be read (\((error as? CocoaError)?.reason ?? "\(error)"))")
        }
        guard data.count <= maximumBytes else { throw failure("the settings file is larger than 1 MiB") }
        guard let text = String(data: data, encoding: .utf8) else { throw failure("the settings file is not UTF-8") }
        return SettingsFile(path: path, text: text)
    }

    /// The file's keys in the table's spelling (words joined by dashes) with their values, in the order of the file.
    func entries() throws(SettingsError) -> [(key: String, written: String, value: String)] {
        let isJSON = text.first(where: { !$0.isWhitespace }) == "{"
        let pairs = isJSON ? try jsonPairs() : try flatPairs()
        var entries: [(key: String, written: String, value: String)] = []
        for (written, value) in pairs {
            let key = written.replacing(".", with: "-").replacing("_", with: "-")
            if entries.contains(where: { $0.key == key }) {
                throw problem(written, "it stands in the file twice", "keep one of the two")
            }
            entries.append((key, written, value))
        }
        return entries
    }

    private func problem(_ subject: String, _ cause: String, _ remedy: String) -> SettingsError {
        SettingsError([SettingProblem(subject: "\(subject) in \(path)", cause: cause, remedy: remedy)])
    }

    private func flatPairs() throws(SettingsError) -> [(String, String)] {
        var pairs: [(String, String)] = []
        for (number, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
            let line = line.trimmingSpaces
            if line.isEmpty || line.hasPrefix("#") { continue }
            guard let equals = line.firstIndex(of: "=") else {
                throw problem("line \(number + 1)", "'\(line)' has no '='", "write key = value, and comments after #")
            }
            var value = line[line.index(after: equals)...].trimmingSpaces
            if value.count >= 2, value.hasPrefix("\""), value.hasSuffix("\"") {
                value = String(value.dropFirst().dropLast())
            }
            pairs.append((line[..<equals].trimmingSpaces, value))
        }
        return pairs
    }

    private func jsonPairs() throws(SettingsError) -> [(String, String)] {
        let root: JSONSetting
        do {
            root = try JSONDecoder().decode(JSONSetting.self, from: Data(text.utf8))
        } catch {
            throw problem("the text", "it begins as JSON but is not valid JSON", "check commas, quotes and brackets")
        }
        var pairs: [(String, String)] = []
        guard root.flatten(into: &pairs, prefix: "") else {
            throw problem(
                "the text",
                "it holds a null or a list of objects",
                "use text, numbers, booleans and lists of text"
            )
        }
        return pairs.sorted { $0.0 < $1.0 }
    }
}

/// As much of JSON as a settings file may hold.
private enum JSONSetting: Decodable {
    case object([String: JSONSetting])
    case list([JSONSetting])
    case text(String)
    case integer(Int)
    case boolean(Bool)
    case other

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Bool.self) {
            self = .boolean(value)
        } else if let value = try? container.decode(Int.self) {
            self = .integer(value)
        } else if let value = try? container.decode(String.self) {
            self = .text(value)
        } else if let value = try? container.decode([JSONSetting].self) {
            self = .list(value)
        } else if let value = try? container.decode([String: JSONSetting].self) {
            self = .object(value)
        } else {
            self = .other
        }
    }

    private var scalar: String? {
        switch self {
        case .text(let value): value
        case .integer(let value): "\(value)"
        case .boolean(let value): "\(value)"
        case .object, .list, .other: nil
        }
    }

    /// Nested objects become dotted keys and a list becomes comma-separated text. False for what no setting can be.
    func flatten(into pairs: inout [(String, String)], prefix: String) -> Bool {
        switch self {
        case .object(let members):
            for (name, value) in members {
                guard value.flatten(into: &pairs, prefix: prefix.isEmpty ? name : "\(prefix).\(name)") else {
                    return false
                }
            }
            return true
        case .list(let items):
            let texts = items.compactMap(\.scalar)
            guard texts.count == items.count, !prefix.isEmpty else { return false }
            pairs.append((prefix, texts.joined(separator: ",")))
            return true
        case .text, .integer, .boolean, .other:
            guard let scalar, !prefix.isEmpty else { return false }
            pairs.append((prefix, scalar))
            return true
        }
    }
}

extension CocoaError {
    fileprivate var reason: String {
        switch code {
        case .fileReadNoSuchFile, .fileNoSuchFile: "no such file"
        case .fileReadNoPermission: "permission denied"
        default: "error \(code.rawValue)"
        }
    }
}
