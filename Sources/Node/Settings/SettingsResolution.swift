// SPDX-License-Identifier: Apache-2.0
import FoundationEssentials
import Primitives

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Every setting's value by key, with where it came from.
struct SettingsResolution {
    private(set) var resolved: [ResolvedSetting] = []
    private var values: [String: SettingValue] = [:]

    init(_ sources: SettingsSources, table: [SettingDefinition]) throws(SettingsError) {
        var problems: [SettingProblem] = []
        for definition in table {
            do {
                let (text, origin) = try Self.text(of: definition, in: sources)
                if let text { values[definition.key] = try SettingValue(text, as: definition.kind) }
                resolved.append(ResolvedSetting(definition: definition, text: text, origin: origin))
            } catch {
                let written = sources.lookup(definition)?.origin ?? .default
                let subject = definition.isSecret ? "\(definition.key)" : Self.subject(definition, written)
                let cause = definition.isSecret ? "its value is not \(definition.kind.summary)" : error.cause
                problems.append(SettingProblem(subject: subject, cause: cause, remedy: error.remedy))
            }
        }
        guard problems.isEmpty else { throw SettingsError(problems) }
    }

    private static func text(
        of definition: SettingDefinition,
        in sources: SettingsSources
    ) throws(SettingValueError) -> (String?, SettingOrigin) {
        let found = sources.lookup(definition)
        if definition.isSecret, let (path, variable) = sources.secretPath(definition) {
            switch found?.origin {
            case .flag, .environment: break
            default: return (try secret(at: path, variable), .environment(variable))
            }
        }
        if let found { return (found.text, found.origin) }
        return (definition.defaultText, .default)
    }

    /// The first line of a secret's file, without the line end that editors add.
    private static func secret(at path: String, _ variable: String) throws(SettingValueError) -> String {
        guard let data = try? Data(contentsOf: URL(filePath: path)), let text = String(data: data, encoding: .utf8)
        else {
            throw SettingValueError("the file \(path) cannot be read", "make \(variable) name a readable file")
        }
        return text.trimmingSpaces
    }

    /// How the operator wrote it, so that it can be found and mended.
    private static func subject(_ definition: SettingDefinition, _ origin: SettingOrigin) -> String {
        switch origin {
        case .flag(let flag): flag
        case .environment(let variable): variable
        case .file(let path): "\(definition.fileKey) in \(path)"
        case .derived, .default: definition.key
        }
    }

    /// Fills in what other settings imply and the operator did not write.
    mutating func derive() {
        let peers = peers("peers")
        if let own = peers.first(where: { $0.name == text("node-id") }) {
            replaceDefault("peer-port", with: .integer(own.port), text: "\(own.port)", from: "peers")
        }
        let nodes = max(peers.count, 1)
        if let replicas = integer("replicas"), replicas > nodes {
            replaceDefault("replicas", with: .integer(nodes), text: "\(nodes)", from: "peers")
        }
    }

    private mutating func replaceDefault(_ key: String, with value: SettingValue, text: String, from source: String) {
        guard let index = resolved.firstIndex(where: { $0.definition.key == key }), resolved[index].origin == .default
        else {
            return
        }
        values[key] = value
        resolved[index] = ResolvedSetting(
            definition: resolved[index].definition,
            text: text,
            origin: .derived(from: source)
        )
    }

    func integer(_ key: String) -> Int? {
        guard case .integer(let value) = values[key] else { return nil }
        return value
    }

    func interval(_ key: String) -> Interval? { integer(key).map { .milliseconds(UInt64($0)) } }

    func boolean(_ key: String) -> Bool? {
        guard case .boolean(let value) = values[key] else { return nil }
        return value
    }

    func text(_ key: String) -> String? {
        guard case .text(let value) = values[key] else { return nil }
        return value
    }

    func hexadecimal(_ key: String) -> [UInt8]? {
        guard case .hexadecimal(let value) = values[key] else { return nil }
        return value
    }

    func peers(_ key: String) -> [PeerAddress] {
        guard case .peers(let value) = values[key] else { return [] }
        return value
    }
}

enum Processors {
    /// Cores that are online, at least 1.
    static var count: Int { max(1, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))) }
}
