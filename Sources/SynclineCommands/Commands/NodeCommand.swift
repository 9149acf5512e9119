// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import FoundationEssentials
import Logging
import NIOCore
import Node
import Telemetry

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Run one node.",
        usage: "syncline node [--config <path>] [--<setting> <value> …]"
    )

    /// Read by the settings table, where every setting is a flag.
    @Argument(parsing: .captureForPassthrough, help: "Settings; syncline node --help lists them.")
    var flags: [String] = []

    func run() async throws {
        if flags.contains("--help") || flags.contains("-h") {
            Console.raw(SettingsReport.help())
            return
        }
        let settings = try SettingsLoading.resolve(flags)
        bootstrapLogging(
            format: format(settings.logFormat),
            level: Logger.Level(rawValue: settings.logLevel) ?? .info,
            node: settings.nodeID
        )
        do {
            try await NodeProcess(settings: settings).run()
        } catch let error as CancellationError {
            throw error
        } catch {
            Console.error(text(error, settings))
            throw ExitStatus.failure
        }
    }

    private func text(_ error: any Error, _ settings: Settings) -> String {
        guard let error = error as? IOError, error.errnoCode == EADDRINUSE else {
            return "the node has ended: \(error)"
        }
        return
            "one of the ports \(settings.clientPort), \(settings.httpPort), \(settings.peerPort) is in "
            + "use by another process\n  → end that process, or use --client-port, --http-port and --peer-port"
    }

    private func format(_ setting: Settings.LogFormat) -> LogFormat {
        switch setting {
        case .json: .json
        case .text: .text
        case .auto: Console.outIsTerminal ? .text : .json
        }
    }
}

enum SettingsLoading {
    /// The settings of these flags, this process's environment and the file they name; all problems are printed.
    static func resolve(_ flags: [String]) throws -> Settings {
        let environment = ProcessInfo.processInfo.environment
        do throws(SettingsError) {
            let file = try SettingsFile.load(flags: flags, environment: environment)
            return try Settings.resolve(flags: flags, environment: environment, file: file)
        } catch {
            for problem in error.problems { Console.error("\(problem)") }
            throw ExitStatus.usage
        }
    }
}
