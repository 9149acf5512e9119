// SPDX-License-Identifier: Apache-2.0

/// The settings table as text, for people.
package enum SettingsReport {
    /// What `syncline config docs` prints and `docs/CONFIGURATION.md` holds.
    package static func markdown() -> String {
        var text = """
            # Settings of a node

            Made by `syncline config docs`; a test keeps this page equal to it.

            A flag wins over the environment, the environment over the settings file, the file over the default.
            `syncline config print` shows each value and where it came from; `syncline config check` finds what is wrong
            without starting anything. An unknown flag, `SYNCLINE_…` variable or file key is an error.

            The settings file is named by `--config PATH` or `SYNCLINE_CONFIG`. It is a JSON object (nested objects or
            dotted keys), or lines of `key = value` with `#` comments. Dots and dashes in its keys mean the same.

            | flag | environment | file key | values | default | meaning |
            |---|---|---|---|---|---|

            """
        for row in SettingDefinition.all {
            let defaultText = row.defaultText.map { "`\($0)`" } ?? "—"
            let variable =
                row.isSecret ? "`\(row.environmentName)`, `\(row.environmentName)_FILE`" : "`\(row.environmentName)`"
            text +=
                "| `\(row.flag)` | \(variable) | `\(row.fileKey)` | \(row.kind.summary) | \(defaultText) | "
                + "\(row.summary) |\n"
        }
        return text
    }

    /// The flags of `syncline node --help`.
    package static func help() -> String {
        var text = """
            OVERVIEW: Run one node.

            USAGE: syncline node [--config <path>] [--<setting> <value> …]

            A flag wins over its environment variable (--client-port: SYNCLINE_CLIENT_PORT), the variable over the
            settings file, the file over the default.

            SETTINGS:

            """
        let rows = SettingDefinition.all
        let width = (rows.map { $0.flag.count }.max() ?? 0) + 2
        text += "  \("--config".padded(to: width))Settings file: JSON, or lines of key = value. (SYNCLINE_CONFIG)\n"
        let indent = String(repeating: " ", count: width + 2)
        for row in rows {
            let defaultText = row.defaultText.map { "; default: \($0)" } ?? ""
            text += "  \(row.flag.padded(to: width))\(row.summary)\n\(indent)(\(row.kind.summary)\(defaultText))\n"
        }
        return text
    }

    /// What `syncline config print` prints: key, value and origin in columns, secrets hidden.
    package static func table(_ resolved: [ResolvedSetting]) -> String {
        let keys = (resolved.map { $0.definition.key.count }.max() ?? 0) + 2
        let values = (resolved.map { $0.shownText.count }.max() ?? 0) + 2
        return resolved.map { row in
            "\(row.definition.key.padded(to: keys))\(row.shownText.padded(to: values))\(row.origin)\n"
        }.joined()
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
}
