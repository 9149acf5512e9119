// SPDX-License-Identifier: Apache-2.0

/// The flags of `syncline node`, read by the settings table itself so that every setting is a flag.
struct SettingsFlags {
    /// Setting keys and values; the last of a repeated flag wins.
    private(set) var values: [String: String] = [:]
    private(set) var configPath: String?

    init(_ arguments: [String], table: [SettingDefinition] = SettingDefinition.all) throws(SettingsError) {
        var problems: [SettingProblem] = []
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            guard argument.hasPrefix("--"), argument.count > 2 else {
                problems.append(
                    SettingProblem(
                        subject: argument,
                        cause: "it is not a flag",
                        remedy: "write settings as --key value; see --help"
                    )
                )
                continue
            }
            var name = String(argument.dropFirst(2))
            var value: String?
            if let equals = name.firstIndex(of: "=") {
                value = String(name[name.index(after: equals)...])
                name = String(name[..<equals])
            }
            if let problem = take(name, value, rest: &rest, table: table) { problems.append(problem) }
        }
        guard problems.isEmpty else { throw SettingsError(problems) }
    }

    private mutating func take(
        _ name: String,
        _ given: String?,
        rest: inout ArraySlice<String>,
        table: [SettingDefinition]
    ) -> SettingProblem? {
        var value = given
        let definition = table.first { $0.key == name }
        if definition == nil, name != "config" {
            if name.hasPrefix("no-"), given == nil, let negated = table.first(where: { $0.key == name.dropFirst(3) }),
                negated.kind == .boolean
            {
                values[negated.key] = "false"
                return nil
            }
            if given == nil, let next = rest.first, !next.hasPrefix("--") { rest.removeFirst() }
            let known = table.map(\.key) + ["config"]
            let suggestion = Suggestion.nearest(to: name, in: known).map { "did you mean --\($0)? " } ?? ""
            return SettingProblem(
                subject: "--\(name)",
                cause: "there is no such flag",
                remedy: suggestion + "syncline node --help lists all"
            )
        }
        if value == nil, definition?.kind == .boolean {
            let isValue = rest.first.map { ["true", "false"].contains($0) } ?? false
            value = isValue ? rest.popFirst() : "true"
        } else if value == nil, let next = rest.first, !next.hasPrefix("--") {
            value = rest.popFirst()
        }
        guard let value else {
            let form = definition?.kind.summary ?? "path"
            return SettingProblem(
                subject: "--\(name)",
                cause: "its value is missing",
                remedy: "write --\(name) with \(form)"
            )
        }
        if definition == nil { configPath = value } else { values[name] = value }
        return nil
    }
}
