// SPDX-License-Identifier: Apache-2.0
import RESP

extension RESPConnectionHandler {
    private static let commandSubcommands = ["COUNT", "DOCS", "GETKEYS", "INFO", "LIST"]

    /// `COMMAND` and its subcommands, answered from the command table.
    func describeCommands(_ command: RESPCommand) {
        guard command.count > 1 else {
            writer.array(table.commands.count)
            for description in table.commands { writeInfo(description) }
            return
        }
        switch (command.text(1).uppercased(), command.count) {
        case ("COUNT", 2): writer.integer(table.commands.count)
        case ("LIST", 2):
            writer.array(table.commands.count)
            for description in table.commands { writer.bulk(description.name.lowercased()) }
        case ("LIST", _): writeError("ERR COMMAND LIST takes no filter here")
        case ("INFO", 2):
            writer.array(table.commands.count)
            for description in table.commands { writeInfo(description) }
        case ("INFO", _):
            writer.array(command.count - 2)
            for index in 2..<command.count {
                if let description = table.find(command.text(index)) { writeInfo(description) } else { writer.null() }
            }
        case ("DOCS", _):
            let wanted =
                command.count == 2
                ? table.commands : (2..<command.count).compactMap { table.find(command.text($0)) }
            writer.map(wanted.count)
            for description in wanted { writeDocs(description) }
        case ("GETKEYS", 4...): keys(of: command)
        case ("GETKEYS", _): writeError("ERR wrong number of arguments for 'command|getkeys' command")
        default: unknownSubcommand(command, Self.commandSubcommands)
        }
    }

    /// `COMMAND GETKEYS command argument …`.
    private func keys(of command: RESPCommand) {
        guard let description = table.find(command.text(2)) else { return writeError("ERR Invalid command specified") }
        guard description.accepts(count: command.count - 2) else {
            return writeError("ERR Invalid number of arguments specified for command")
        }
        let positions = description.keys.positions(count: command.count - 2)
        guard !positions.isEmpty else { return writeError("ERR The command has no key arguments") }
        writer.array(positions.count)
        for position in positions { writer.bulk(command.argument(2 + position)) }
    }

    /// Redis 7's ten elements. Only commands of the cache name keys in Redis' sense.
    private func writeInfo(_ description: CommandDescription) {
        writer.array(10)
        writer.bulk(description.name.lowercased())
        writer.integer(description.arity)
        writer.set(description.flags.count)
        for flag in description.flags { writer.simple(flag) }
        writer.integer(description.keys.first)
        writer.integer(description.keys.last)
        writer.integer(description.keys.step)
        writer.set(1)
        writer.simple("@\(description.family.rawValue)")
        writer.array(0)
        writer.array(0)
        writer.array(0)
    }

    private func writeDocs(_ description: CommandDescription) {
        let arguments = CommandSyntax.arguments(of: description.syntax)
        writer.bulk(description.name.lowercased())
        writer.map(arguments.isEmpty ? 3 : 4)
        writer.pair("summary", description.summary)
        writer.pair("since", description.since)
        writer.pair("group", description.family.rawValue)
        guard !arguments.isEmpty else { return }
        writer.bulk("arguments")
        writer.array(arguments.count)
        for argument in arguments {
            let flags = (argument.isOptional ? ["optional"] : []) + (argument.isMultiple ? ["multiple"] : [])
            writer.map(3 + (argument.token == nil ? 0 : 1) + (flags.isEmpty ? 0 : 1))
            writer.pair("name", argument.name)
            writer.pair("type", "string")
            writer.pair("display_text", argument.name)
            if let token = argument.token { writer.pair("token", token) }
            guard !flags.isEmpty else { continue }
            writer.bulk("flags")
            writer.array(flags.count)
            for flag in flags { writer.simple(flag) }
        }
    }
}

/// Reads the syntax column of the command table, so that hints and usage texts have one source.
struct CommandSyntax {
    struct Argument: Equatable {
        var name: String
        /// The option's word in front of the value.
        var token: String?
        var isOptional: Bool
        var isMultiple: Bool
    }

    /// `name SESSION id [WAIT ms|FOREVER]` as a list of arguments; brackets make one optional, `…` repeatable.
    static func arguments(of syntax: String) -> [Argument] {
        var result: [Argument] = []
        var group: [Substring] = []
        var isOptional = false
        for word in syntax.split(separator: " ") {
            var text = word
            if text.hasPrefix("[") {
                append(group, isOptional: false, to: &result)
                group = []
                isOptional = true
                text = text.drop { $0 == "[" }
            }
            let isClosing = text.hasSuffix("]")
            while text.hasSuffix("]") { text = text.dropLast() }
            group.append(text)
            if isClosing {
                append(group, isOptional: isOptional, to: &result)
                group = []
                isOptional = false
            }
        }
        append(group, isOptional: false, to: &result)
        return result
    }

    private static func append(_ words: [Substring], isOptional: Bool, to result: inout [Argument]) {
        var index = 0
        let isMultiple = words.contains("…")
        let plain = words.filter { $0 != "…" }
        // `[name mode …]` only says that what precedes it may be repeated.
        if isMultiple, isOptional, let last = result.indices.last, plain.last.map(String.init) == result[last].name {
            result[last].isMultiple = true
            return
        }
        while index < plain.count {
            let word = plain[index]
            let isToken = word.allSatisfy { $0.isUppercase } && index + 1 < plain.count
            let name = String(isToken ? plain[index + 1] : word)
            result.append(
                Argument(
                    name: name,
                    token: isToken ? String(word) : nil,
                    isOptional: isOptional,
                    isMultiple: isMultiple
                )
            )
            index += isToken ? 2 : 1
        }
    }
}
