// SPDX-License-Identifier: Apache-2.0
import Configuration

/// The three places a value can be written, strongest first, behind one question.
///
/// Each place is a provider of swift-configuration holding text; the table reads the text, because an error must say
/// which of the three it came from.
struct SettingsSources {
    private let flags: InMemoryProvider
    private let environment: EnvironmentVariablesProvider
    private let file: InMemoryProvider
    private let filePath: String
    /// Variables that name files with secrets in them.
    private let variables: [String: String]

    init(
        flags arguments: [String],
        environment variables: [String: String],
        file: SettingsFile?,
        table: [SettingDefinition]
    ) throws(SettingsError) {
        var problems: [SettingProblem] = []
        var flagValues: [String: String] = [:]
        var entries: [(key: String, written: String, value: String)] = []
        do {
            flagValues = try SettingsFlags(arguments, table: table).values
        } catch {
            problems += error.problems
        }
        do {
            entries = try file?.entries() ?? []
        } catch {
            problems += error.problems
        }
        problems += Self.unknownVariables(variables, table: table)
        problems += Self.unknownKeys(entries, path: file?.path ?? "", table: table)
        guard problems.isEmpty else { throw SettingsError(problems) }

        self.flags = Self.provider("flags", flagValues.map { ($0.key, $0.value) })
        self.environment = EnvironmentVariablesProvider(environmentVariables: variables)
        self.file = Self.provider("file", entries.map { ($0.key, $0.value) })
        self.filePath = file?.path ?? ""
        self.variables = variables
    }

    /// The strongest text for this setting, and where it stands; nil when it is written nowhere.
    func lookup(_ definition: SettingDefinition) -> (text: String, origin: SettingOrigin)? {
        let key = AbsoluteConfigKey(definition.words)
        if let text = text(flags, key) { return (text, .flag(definition.flag)) }
        if let text = text(environment, key.prepending("syncline")) {
            return (text, .environment(definition.environmentName))
        }
        return text(file, key).map { ($0, .file(path: filePath)) }
    }

    /// The path in `SYNCLINE_X_Y_FILE`, for secrets that neither a flag nor the plain variable gives.
    func secretPath(_ definition: SettingDefinition) -> (path: String, variable: String)? {
        let variable = definition.environmentName + "_FILE"
        return variables[variable].map { ($0, variable) }
    }

    private func text(_ provider: any ConfigProvider, _ key: AbsoluteConfigKey) -> String? {
        // Text is asked for as text, which no provider of text refuses.
        guard let content = try? provider.value(forKey: key, type: .string).value?.content,
            case .string(let text) = content
        else { return nil }
        return text
    }

    private static func provider(_ name: String, _ pairs: [(String, String)]) -> InMemoryProvider {
        let values = pairs.map { key, value in
            (
                AbsoluteConfigKey(key.split(separator: "-").map(String.init)),
                ConfigValue(.string(value), isSecret: false)
            )
        }
        return InMemoryProvider(name: name, values: Dictionary(values) { _, last in last })
    }

    /// Variables of the command line, of `syncline lock`'s children, of the build and of the tests, not of a node.
    private static let foreign = [
        "SYNCLINE_CONFIG", "SYNCLINE_ENDPOINTS", "SYNCLINE_HTTP", "SYNCLINE_TOKEN", "SYNCLINE_SESSION", "SYNCLINE_LOCK",
        "SYNCLINE_STRICT", "SYNCLINE_TESTING", "SYNCLINE_BINARY", "SYNCLINE_REWRITE", "SYNCLINE_EXHAUSTIVE",
    ]

    private static func unknownVariables(_ variables: [String: String], table: [SettingDefinition]) -> [SettingProblem]
    {
        let known =
            table.map(\.environmentName) + table.filter(\.isSecret).map { $0.environmentName + "_FILE" } + foreign
        return variables.keys.sorted().filter { $0.hasPrefix("SYNCLINE_") }.compactMap { name in
            guard !known.contains(name), !isServiceLink(name, variables[name] ?? "") else { return nil }
            if name.hasSuffix("_FILE"), known.contains(String(name.dropLast(5))) {
                return SettingProblem(
                    subject: name,
                    cause: "only secrets can be read from a file, and this is none",
                    remedy: "set \(name.dropLast(5)) itself"
                )
            }
            let suggestion = Suggestion.nearest(to: name, in: known).map { "did you mean \($0)? " } ?? ""
            return SettingProblem(
                subject: name,
                cause: "no setting has this variable",
                remedy: "\(suggestion)unset it, or see syncline config docs"
            )
        }
    }

    /// Kubernetes sets variables such as SYNCLINE_SERVICE_HOST and SYNCLINE_PORT_7700_TCP_ADDR for a service named
    /// `syncline`; they are no slips of the operator.
    private static func isServiceLink(_ name: String, _ value: String) -> Bool {
        if name.hasSuffix("_SERVICE_HOST") || name.contains("_SERVICE_PORT") { return true }
        if name.hasSuffix("_PORT") { return value.contains("://") }
        let words = name.split(separator: "_")
        guard let port = words.firstIndex(of: "PORT"), port + 2 < words.endIndex else { return false }
        return Int(words[port + 1]) != nil && ["TCP", "UDP", "SCTP"].contains(words[port + 2])
    }

    private static func unknownKeys(
        _ entries: [(key: String, written: String, value: String)],
        path: String,
        table: [SettingDefinition]
    ) -> [SettingProblem] {
        entries.compactMap { entry in
            guard !table.contains(where: { $0.key == entry.key }) else { return nil }
            let nearest = Suggestion.nearest(to: entry.key, in: table.map(\.key))
            let suggestion = nearest.map { "did you mean \($0.replacing("-", with: "."))? " } ?? ""
            return SettingProblem(
                subject: "\(entry.written) in \(path)",
                cause: "no setting has this key",
                remedy: "\(suggestion)remove it, or see syncline config docs"
            )
        }
    }
}
