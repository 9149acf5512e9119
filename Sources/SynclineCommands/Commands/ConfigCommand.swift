// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import Node

struct ConfigCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config",
        abstract: "Show, check or document a node's settings.",
        subcommands: [Print.self, Check.self, Docs.self]
    )

    struct Print: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "print",
            abstract: "Print each setting and where it comes from; secrets are hidden.",
            discussion: "Takes the flags of syncline node."
        )

        @Argument(parsing: .captureForPassthrough, help: "Flags of syncline node.")
        var flags: [String] = []

        func run() throws { Console.raw(SettingsReport.table(try SettingsLoading.resolve(flags).resolved)) }
    }

    struct Check: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "check",
            abstract: "Find what is wrong with the settings, without starting anything.",
            discussion: "Takes the flags of syncline node."
        )

        @Argument(parsing: .captureForPassthrough, help: "Flags of syncline node.")
        var flags: [String] = []

        func run() throws {
            let settings = try SettingsLoading.resolve(flags)
            let nodes = settings.peers.isEmpty ? "a cluster of one" : "one of \(settings.peers.count) nodes"
            Console.out("the settings of \(settings.nodeID), \(nodes), are in order")
        }
    }

    struct Docs: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "docs",
            abstract: "Print the settings as a Markdown page."
        )

        func run() { Console.raw(SettingsReport.markdown()) }
    }
}
