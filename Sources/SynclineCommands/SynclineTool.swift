// SPDX-License-Identifier: Apache-2.0
package import ArgumentParser
import Telemetry

/// The command line: `main` parses the arguments, runs the command and ends the process with its exit status.
package struct SynclineTool: AsyncParsableCommand {
    package static let configuration = CommandConfiguration(
        commandName: "syncline",
        abstract: "Locks, work queues and a coherent cache from a replicated cluster.",
        discussion: ExitStatus.discussion,
        version: SynclineVersion.text,
        subcommands: [
            NodeCommand.self, DemoCommand.self, LockCommand.self, LocksCommand.self, SessionsCommand.self,
            QueueTool.self, CacheTool.self, ClusterCommand.self, BenchCommand.self, HealthCommand.self,
            ConfigCommand.self, VersionCommand.self,
        ]
    )

    package init() {}

    package static func main() async {
        // A write to a pipe whose reader has gone is an error to handle, not a reason to die without a word.
        Signals.ignoreBrokenPipes()
        InheritedDescriptors.remember()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let status as ExitStatus {
            Self.exit(withError: ExitCode(status.rawValue))
        } catch {
            Self.exit(withError: error)
        }
    }
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    func run() { Console.out(SynclineVersion.text) }
}
