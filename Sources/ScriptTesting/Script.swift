// SPDX-License-Identifier: Apache-2.0
import Foundation

/// A scenario as text: commands, a line of four dashes, and what they print. The format is that of CockroachDB's
/// `datadriven`, which etcd's Raft tests use too.
///
///     # comment
///     acquire s1 a x
///     ----
///     granted a s1 token=2
///
/// A block ends with an empty line. A block without a line of dashes has commands that print nothing. Run the tests
/// with `SYNCLINE_REWRITE=1` to write what is printed now into the files, then read the difference.
package struct Script: Sendable {
    package struct Block: Sendable {
        /// Line of the first command, counted from 1.
        package var line: Int
        /// Comments and empty lines before the block, kept when rewriting.
        package var preamble: [String]
        package var commands: [String]
        package var expected: [String]
    }

    package struct Failure: Sendable, CustomStringConvertible {
        package var file: String
        package var line: Int
        package var commands: [String]
        package var expected: [String]
        package var actual: [String]

        package var description: String {
            let parts = ["\(file):\(line)"] + commands + ["expected:"] + expected + ["actual:"] + actual
            return parts.joined(separator: "\n")
        }
    }

    package let path: String
    package let blocks: [Block]
    private let ending: [String]

    package init(path: String) throws {
        self.init(path: path, text: try String(contentsOfFile: path, encoding: .utf8))
    }

    package init(path: String, text: String) {
        self.path = path
        var blocks: [Block] = []
        var preamble: [String] = []
        var lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        if lines.last == "" { lines.removeLast() }
        var position = 0
        while position < lines.count {
            if Self.isIdle(lines[position]) {
                preamble.append(lines[position])
                position += 1
                continue
            }
            var block = Block(line: position + 1, preamble: preamble, commands: [], expected: [])
            preamble = []
            while position < lines.count, lines[position] != "----", !lines[position].isEmpty {
                block.commands.append(lines[position])
                position += 1
            }
            if position < lines.count, lines[position] == "----" {
                position += 1
                while position < lines.count, !lines[position].isEmpty {
                    block.expected.append(lines[position])
                    position += 1
                }
            }
            blocks.append(block)
        }
        self.blocks = blocks
        self.ending = preamble
    }

    private static func isIdle(_ line: String) -> Bool { line.isEmpty || line.hasPrefix("#") }

    /// Runs each command of each block in order and compares what the block printed. With `SYNCLINE_REWRITE=1` in the
    /// environment nothing fails and the file is written anew.
    package func run(_ interpret: (Command) throws -> String) throws -> [Failure] {
        var failures: [Failure] = []
        var rewritten: [String] = []
        for block in blocks {
            var actual: [String] = []
            for line in block.commands where !line.hasPrefix("#") {
                let output = try interpret(Command(line))
                actual += output.split(separator: "\n").map(String.init)
            }
            rewritten += block.preamble + block.commands + (actual.isEmpty ? [] : ["----"] + actual)
            guard actual != block.expected else { continue }
            failures.append(
                Failure(
                    file: path,
                    line: block.line,
                    commands: block.commands,
                    expected: block.expected,
                    actual: actual
                )
            )
        }
        guard ProcessInfo.processInfo.environment["SYNCLINE_REWRITE"] == "1" else { return failures }
        let text = (rewritten + ending).joined(separator: "\n") + "\n"
        if !failures.isEmpty { try text.write(toFile: path, atomically: true, encoding: .utf8) }
        return []
    }

    /// The scripts of a folder beside a test's source file, in the order of their names.
    package static func all(in folder: String) throws -> [Script] {
        let names = try FileManager.default.contentsOfDirectory(atPath: folder).filter { $0.hasSuffix(".txt") }.sorted()
        return try names.map { try Script(path: folder + "/" + $0) }
    }
}

/// One line of a script: a word, then positional arguments and `key=value` options.
package struct Command: Sendable {
    package let text: String
    package let name: String
    package let arguments: [String]
    private let options: [(key: String, value: String)]

    init(_ line: String) {
        text = line
        let words = line.split(separator: " ").map(String.init)
        name = words.first ?? ""
        var arguments: [String] = []
        var options: [(key: String, value: String)] = []
        for word in words.dropFirst() {
            if let equals = word.firstIndex(of: "=") {
                options.append((String(word[..<equals]), String(word[word.index(after: equals)...])))
            } else {
                arguments.append(word)
            }
        }
        self.arguments = arguments
        self.options = options
    }

    /// The positional argument at this position; empty when there are fewer.
    package subscript(position: Int) -> String { position < arguments.count ? arguments[position] : "" }

    package func option(_ key: String) -> String? { options.first { $0.key == key }?.value }

    package func number(_ key: String) -> UInt64? { option(key).flatMap { UInt64($0) } }
}
