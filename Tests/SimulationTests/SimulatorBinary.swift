// SPDX-License-Identifier: Apache-2.0
import Foundation

/// The simulator as a process of its own: what a run must be the same in.
enum SimulatorBinary {
    struct Outcome {
        var status: Int32
        var output: String
    }

    private static let root: URL = {
        var folder = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { folder.deleteLastPathComponent() }
        return folder
    }()

    /// Built together with the tests.
    static func path() -> String? { found(environment: "SYNCLINE_SIM", folder: ".build") }

    /// Built with `--traits PlantedBugs` in a folder of its own.
    static func plantedPath() -> String? { found(environment: "SYNCLINE_SIM_PLANTED", folder: ".build-planted") }

    private static func found(environment: String, folder: String) -> String? {
        if let path = ProcessInfo.processInfo.environment[environment] { return path }
        #if DEBUG
            let configurations = ["debug", "release"]
        #else
            let configurations = ["release", "debug"]
        #endif
        return configurations.map { root.appendingPathComponent("\(folder)/\($0)/syncline-sim").path }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    static func run(_ path: String, _ arguments: [String]) throws -> Outcome {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(["SWIFT_BACKTRACE": "enable=no"]) { $1 }
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = FileHandle.standardError
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Outcome(status: process.terminationStatus, output: String(decoding: output, as: UTF8.self))
    }

    /// A number from the environment, for longer runs by night.
    static func number(_ name: String, default fallback: UInt64) -> UInt64 {
        ProcessInfo.processInfo.environment[name].flatMap(UInt64.init) ?? fallback
    }
}
