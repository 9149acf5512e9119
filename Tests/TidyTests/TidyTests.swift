// SPDX-License-Identifier: Apache-2.0
import Foundation
import Testing

/// The rules of CONTRIBUTING.md that a machine can check, checked by a machine.
@Suite("Tidy")
struct TidyTests {
    private let tree = SourceTree.shared

    /// Modules and what of ours each may import. The order is the architecture: imports only point up this list.
    private static let layers: [(module: String, imports: [String])] = [
        ("Primitives", []),
        ("RaftCore", ["Primitives"]),
        ("LockCore", ["Primitives"]),
        ("QueueCore", ["Primitives"]),
        ("CacheCore", ["Primitives"]),
        ("PlacementCore", ["Primitives"]),
        ("Replica", ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "PlacementCore"]),
        ("Wire", ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "CChecksum"]),
        (
            "Memory",
            [
                "Primitives", "CacheCore", "RESP", "NIOCore", "NIOPosix", "NIOSSL", "Logging", "Synchronization",
                "Glibc",
                "Musl", "Darwin",
            ]
        ),
        ("Simulator", ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "Wire"]),
    ]
    private static let cores = [
        "Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "PlacementCore", "Replica",
    ]
    private static let executables = ["syncline", "syncline-sim"]

    private func report(_ problems: [String], _ rule: Comment) {
        #expect(problems.isEmpty, "\(rule.rawValue):\n\(problems.joined(separator: "\n"))")
    }

    /// Lines of code, without comments and strings, in which the pattern is found.
    private func matches(_ pattern: String, in files: [SourceFile], except: [String] = []) throws -> [String] {
        let regex = try NSRegularExpression(pattern: pattern)
        var found: [String] = []
        for file in files where !except.contains(file.path) {
            for (number, line) in file.code.enumerated() {
                let range = NSRange(line.startIndex..<line.endIndex, in: line)
                if regex.firstMatch(in: line, range: range) != nil {
                    found.append("\(file.path):\(number + 1): \(line)")
                }
            }
        }
        return found
    }

    // MARK: Layers

    @Test("cores import only what is below them")
    func layers() throws {
        let regex = try NSRegularExpression(
            pattern: #"^\s*(?:(?:package|public|internal|private)\s+)?import\s+(?:\w+\s+)?(\w+)"#
        )
        for (module, allowed) in Self.layers {
            var problems: [String] = []
            for file in tree.swift where file.isSource && file.module == module {
                for (number, line) in file.code.enumerated() {
                    let range = NSRange(line.startIndex..<line.endIndex, in: line)
                    guard let match = regex.firstMatch(in: line, range: range),
                        let name = Range(match.range(at: 1), in: line)
                    else { continue }
                    if !allowed.contains(String(line[name])) {
                        problems.append("\(file.path):\(number + 1): imports \(line[name])")
                    }
                }
            }
            report(problems, "\(module) may import \(allowed.joined(separator: ", "))")
        }
    }

    @Test("cores are deterministic: no hash tables that can be walked, no clock, no random numbers, no tasks")
    func determinism() throws {
        let cores = tree.swift.filter { $0.isSource && Self.cores.contains($0.module) }
        #expect(!cores.isEmpty)
        let bans = [
            #"\bDictionary\b"#, #"\bSet<"#, #"\[[A-Z]\w*\s*:\s*[\[(]?[A-Z]"#, #"\[:\]"#,
            #"(Continuous|Suspending)Clock"#, #"(Instant|Date)\.now\b"#, #"\.random(Element)?\("#,
            #"\bshuffled\b"#, #"\basync\b"#, #"\bawait\b"#, #"\bTask\b"#, #"\bDate\("#, #"\bFoundation\b"#,
            #"\bhashValue\b"#,
        ]
        for ban in bans {
            // The one table that hides what it is from everybody else.
            let found = try matches(ban, in: cores, except: ["Sources/Primitives/LookupTable.swift"])
            report(found, "banned in cores: \(ban)")
        }
    }

    @Test("the simulator replays: nothing in it depends on the process it runs in")
    func simulatorDeterminism() throws {
        let simulator = tree.swift.filter { $0.isSource && $0.module == "Simulator" }
        for ban in [
            #"\bDictionary\b"#, #"\bSet<"#, #"\[[A-Z]\w*\s*:\s*[\[(]?[A-Z]"#, #"\.random(Element)?\("#,
            #"\bshuffled\b"#,
            #"\basync\b"#, #"\bDate\("#, #"(Continuous|Suspending)Clock"#,
        ] {
            report(try matches(ban, in: simulator), "banned in the simulator: \(ban)")
        }
    }

    // MARK: Habits

    @Test("no forced try, no leftovers, no output from libraries")
    func bans() throws {
        let all = tree.swift
        report(try matches(#"\btry!"#, in: all), "a forced try")
        let libraries = all.filter { $0.isSource && !Self.executables.contains($0.module) }
        report(try matches(#"(^|[^.\w])print\("#, in: libraries), "libraries print nothing")
        var leftovers: [String] = []
        // Put together here, so that this file does not find itself.
        let words = ["FIX" + "ME", "TO" + "DO", "XX" + "X"]
        for file in tree.files {
            for (number, line) in file.lines.enumerated() {
                for word in words where line.contains(word + ":") || line.contains(word + " ") || line.hasSuffix(word) {
                    leftovers.append("\(file.path):\(number + 1): \(line)")
                }
            }
        }
        report(leftovers, "finish it, or open an issue")
    }

    /// Tests of real processes have to poll, and they do it in one place.
    private static let polling = SleepAllowance.files

    @Test("tests wait for conditions, they do not sleep")
    func sleeps() throws {
        let tests = tree.swift.filter { $0.isTest && !Self.polling.contains($0.path) }
        report(try matches(#"\b(sleep|usleep|nanosleep)\b"#, in: tests), "wait for a condition with a deadline instead")
    }

    @Test("what the compiler does not check is on a list")
    func unchecked() throws {
        let files = tree.swift.filter { $0.isSource && !UncheckedAllowance.files.contains($0.path) }
        report(
            try matches(#"@unchecked\s+Sendable|nonisolated\(unsafe\)"#, in: files),
            "needs a reason in UncheckedAllowance"
        )
        for path in UncheckedAllowance.files {
            let file = tree.swift.filter { $0.path == path }
            #expect(!file.isEmpty, "UncheckedAllowance names \(path), which is gone")
            let uses = try matches(#"@unchecked\s+Sendable|nonisolated\(unsafe\)"#, in: file)
            #expect(!uses.isEmpty, "UncheckedAllowance names \(path), which no longer needs it")
        }
    }

    // MARK: Form

    @Test("files, lines and functions keep their limits")
    func sizes() {
        var problems: [String] = []
        for file in tree.swift {
            let count = file.lines.last?.isEmpty == true ? file.lines.count - 1 : file.lines.count
            if count > 500 { problems.append("\(file.path): \(count) lines") }
            for (number, line) in file.lines.enumerated() where line.count > 120 {
                problems.append("\(file.path):\(number + 1): \(line.count) columns")
            }
            for function in FunctionLengths(code: file.code).all() where function.length > 70 {
                problems.append("\(file.path):\(function.line): a function of \(function.length) lines")
            }
        }
        report(problems, "at most 500 lines a file, 120 columns a line, 70 lines a function")
    }

    @Test("every source file says its licence")
    func licence() {
        let marked = tree.files.filter {
            $0.path.hasSuffix(".swift") || $0.path.hasSuffix(".sh") || $0.path.hasSuffix(".c")
                || $0.path.hasSuffix(".h")
        }
        var problems: [String] = []
        for file in marked
        where !file.lines.prefix(3).contains(where: { $0.contains("SPDX-License-Identifier: Apache-2.0") }) {
            problems.append(file.path)
        }
        report(problems, "no SPDX header")
    }

    @Test("nothing names a folder of the machine it was written on")
    func paths() {
        let bans = ["/ro" + "ot/", "/wo" + "rk/", "/ho" + "me/", "/Us" + "ers/"]
        var problems: [String] = []
        for file in tree.files {
            for (number, line) in file.lines.enumerated() where bans.contains(where: { line.contains($0) }) {
                problems.append("\(file.path):\(number + 1): \(line)")
            }
        }
        report(problems, "a path of a build machine")
    }

    @Test("every folder of Sources is on the map")
    func map() throws {
        let page = try String(contentsOf: tree.root.appendingPathComponent("docs/ARCHITECTURE.md"), encoding: .utf8)
        for module in tree.modules(under: "Sources") {
            #expect(
                page.contains("Sources/\(module)`"),
                "docs/ARCHITECTURE.md does not say what lives in Sources/\(module)"
            )
        }
    }
}

/// Where real time has to pass between two looks at a process.
enum SleepAllowance {
    static let files = ["Tests/ClientTestSupport/LoopbackServer.swift"]
}

/// Files that promise the compiler something it cannot check, each reviewed.
enum UncheckedAllowance {
    static let files = [
        // State that a lock or an event loop guards.
        "Sources/Node/Loop/NodeContext.swift", "Sources/Node/Loop/ShardLoop.swift",
        "Sources/Storage/Monitor.swift",
        // Bytes outside the heap that are written once, before anybody else knows of them.
        "Sources/Primitives/ColdBlock.swift", "Sources/Storage/ColdArena.swift",
        // Memory of its own, which cannot be copied: who has it has it alone.
        "Sources/CacheCore/Lines/LineTable.swift",
        // What a signal handler may touch.
        "Sources/SynclineCommands/Support/Signals.swift", "Sources/syncline-sim/CrashNote.swift",
    ]
}
