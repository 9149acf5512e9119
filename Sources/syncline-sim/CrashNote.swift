// SPDX-License-Identifier: Apache-2.0
import Glibc

/// Says which seeds were running when an invariant ends the process: without it a crash could not be replayed.
enum CrashNote {
    private static let none = UInt64.max
    /// Written once, before any seed runs; afterwards only single words of the seed table change.
    nonisolated(unsafe) private static var seeds: UnsafeMutableBufferPointer<UInt64>?
    nonisolated(unsafe) private static var command: UnsafeMutableBufferPointer<UInt8>?

    static func install(scenario: String, planted: String?, jobs: Int) {
        guard seeds == nil else { return }
        let table = UnsafeMutableBufferPointer<UInt64>.allocate(capacity: jobs)
        table.initialize(repeating: none)
        seeds = table
        let plant = planted.map { " --planted \($0)" } ?? ""
        let text = Array("crashed; replay: syncline-sim --scenario \(scenario)\(plant) --seed ".utf8)
        let bytes = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: text.count)
        _ = bytes.initialize(from: text)
        command = bytes
        for number in [SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGBUS] { signal(number, CrashNote.handle) }
    }

    static func begins(_ seed: UInt64, job: Int) { seeds?[job] = seed }

    static func ends(job: Int) { seeds?[job] = none }

    /// Only `write` and `raise`: nothing else is allowed in a signal handler.
    private static let handle: @convention(c) (Int32) -> Void = { number in
        if let seeds = CrashNote.seeds, let command = CrashNote.command {
            for seed in seeds where seed != CrashNote.none {
                _ = write(2, command.baseAddress, command.count)
                CrashNote.writeNumber(seed)
            }
        }
        signal(number, SIG_DFL)
        raise(number)
    }

    private static func writeNumber(_ number: UInt64) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 24) { digits in
            var position = 23
            digits[position] = UInt8(ascii: "\n")
            var rest = number
            repeat {
                position -= 1
                digits[position] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            } while rest > 0
            _ = write(2, digits.baseAddress?.advanced(by: position), 24 - position)
        }
    }
}
