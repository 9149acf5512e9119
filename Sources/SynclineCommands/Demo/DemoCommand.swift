// SPDX-License-Identifier: Apache-2.0
import ArgumentParser
import FoundationEssentials

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run three real nodes on this machine, take a guided tour, and leave them up.",
        discussion: """
            The nodes listen on loopback only. Ctrl-C stops them. Their data is under a temporary folder, which is \
            removed at the end, unless --data-dir names one.
            """
    )

    @Flag(help: "End after the tour; for scripts. Exits with 0 when everything went as told.")
    var noStay = false

    @Option(help: ArgumentHelp("Keep the nodes' data and logs here, and use what is there.", valueName: "folder"))
    var dataDir: String?

    @Option(
        help: ArgumentHelp(
            "Ports: this and the next two, and the same ten and twenty higher. Default: free ones.",
            valueName: "port"
        )
    )
    var basePort: Int?

    func validate() throws {
        if let basePort, !(1...65_500).contains(basePort) {
            throw ValidationError("--base-port must be between 1 and 65500")
        }
    }

    func run() async throws {
        let signals = Signals.stream([SIGINT, SIGTERM, SIGHUP])
        let cluster = try DemoCluster(folder: dataDir, basePort: basePort)
        let outcome = await withTaskGroup(of: Outcome.self) { group in
            group.addTask { await show(cluster) }
            group.addTask {
                for await number in signals { return .signalled(number) }
                return .ended
            }
            let first = await group.next() ?? .ended
            group.cancelAll()
            return first
        }
        if case .failed(let message) = outcome { report(message, cluster) }
        await cluster.stop()
        switch outcome {
        case .ended: return
        case .failed: throw ExitStatus.failure
        // After the tour a signal is how the demo ends; before, it cut the tour short.
        case .signalled(let number):
            Console.out("\nall nodes are stopped\(cluster.isTemporary ? " and their data is removed" : "")")
            if !cluster.isStaying.isSet { throw ExitCode(128 + number) }
        }
    }

    private enum Outcome: Sendable {
        case ended
        case failed(String)
        case signalled(Int32)
    }

    private func show(_ cluster: DemoCluster) async -> Outcome {
        do {
            let tour = DemoTour(cluster: cluster)
            try await tour.run()
            tour.farewell(stays: !noStay)
            if noStay { return .ended }
            cluster.isStaying.set()
            try await cluster.watch()
            return .ended
        } catch let failure as DemoFailure {
            return .failed(failure.message)
        } catch {
            return .failed("\(error)")
        }
    }

    private func report(_ message: String, _ cluster: DemoCluster) {
        Console.error("the demo has failed: \(message)")
        for node in cluster.nodes {
            Console.note("\n--- the end of \(node.name)'s log ---\n\(cluster.logTail(of: node, lines: 25))")
        }
    }
}

/// Something was not as the tour says.
struct DemoFailure: Error {
    let message: String

    init(_ message: String) { self.message = message }
}
