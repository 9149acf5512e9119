// SPDX-License-Identifier: Apache-2.0

/// What values a setting takes, and how its text is read.
package enum SettingKind: Sendable, Equatable {
    /// A decimal number in this range.
    case integer(ClosedRange<Int>)
    /// A number of bytes in this range; `KiB`, `MiB` and `GiB` may follow it.
    case bytes(ClosedRange<Int>)
    /// `true` or `false` (also `yes`, `no`, `on`, `off`, `1`, `0`); as a flag alone it means true.
    case boolean
    case choice([String])
    /// Any text of at most this many bytes.
    case text(maximumBytes: Int)
    /// A node's name: 1–63 letters, digits, `.`, `_` or `-`, beginning with a letter or digit.
    case nodeName
    /// So many bytes, two hexadecimal digits each, not all zero.
    case hexadecimal(bytes: Int)
    /// `name=host:port,…`
    case peers

    /// For the documentation and for messages.
    var summary: String {
        switch self {
        case .integer(let range): "integer \(range.lowerBound)–\(range.upperBound)"
        case .bytes(let range): "bytes \(Self.bytesText(range.lowerBound))–\(Self.bytesText(range.upperBound))"
        case .boolean: "true, false"
        case .choice(let names): names.joined(separator: ", ")
        case .text(let maximum): "text, at most \(maximum) bytes"
        case .nodeName: "name of 1–63 letters, digits, `.`, `_`, `-`"
        case .hexadecimal(let bytes): "\(bytes * 2) hexadecimal digits"
        case .peers: "name=host:port,…"
        }
    }

    /// 67108864 as `64MiB`; a number with no whole unit as it is.
    static func bytesText(_ count: Int) -> String {
        for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)]
        where count >= size && count % size == 0 {
            return "\(count / size)\(unit)"
        }
        return "\(count)"
    }
}

/// One row of the settings table. Its flag, variable and file key are all derived from `key`.
package struct SettingDefinition: Sendable, Equatable {
    /// Words joined by dashes, `client-port`.
    package let key: String
    package let kind: SettingKind
    /// As it would be written; nil when the setting has no value unless given.
    package let defaultText: String?
    /// Never printed, and also taken from the file that `SYNCLINE_X_Y_FILE` names.
    package let isSecret: Bool
    /// One sentence, with units.
    package let summary: String

    package init(
        _ key: String,
        _ kind: SettingKind,
        default defaultText: String?,
        secret: Bool = false,
        _ summary: String
    ) {
        self.key = key
        self.kind = kind
        self.defaultText = defaultText
        self.isSecret = secret
        self.summary = summary
    }

    package var flag: String { "--" + key }

    package var environmentName: String {
        "SYNCLINE_" + key.uppercased().replacing("-", with: "_")
    }

    package var fileKey: String { key.replacing("-", with: ".") }

    var words: [String] { key.split(separator: "-").map(String.init) }
}

/// Where a value came from, strongest first.
package enum SettingOrigin: Sendable, Equatable, CustomStringConvertible {
    case flag(String)
    case environment(String)
    case file(path: String)
    /// Worked out from another setting.
    case derived(from: String)
    case `default`

    package var description: String {
        switch self {
        case .flag(let name): "flag \(name)"
        case .environment(let name): "environment \(name)"
        case .file(let path): "file \(path)"
        case .derived(let key): "from \(key)"
        case .default: "default"
        }
    }
}

/// A setting's value as text, with its origin.
package struct ResolvedSetting: Sendable, Equatable {
    package let definition: SettingDefinition
    /// nil: not set, and there is no default.
    package let text: String?
    package let origin: SettingOrigin

    /// What may be shown to anyone.
    package var shownText: String {
        guard let text else { return "" }
        return definition.isSecret ? "(hidden)" : text
    }
}
