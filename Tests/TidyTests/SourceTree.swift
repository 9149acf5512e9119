// SPDX-License-Identifier: Apache-2.0
import Foundation

/// One file of the tree.
struct SourceFile {
    /// From the package root, with `/`.
    let path: String
    let lines: [Substring]
    /// The lines of Swift code with comments and the contents of string literals blanked out.
    let code: [String]

    init(path: String, text: String) {
        self.path = path
        lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        code = path.hasSuffix(".swift") ? CodeStripper.strip(text) : []
    }

    /// `Sources/X/…` and `Tests/X/…` belong to module X.
    var module: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    var isSource: Bool { path.hasPrefix("Sources/") }

    var isTest: Bool { path.hasPrefix("Tests/") }
}

/// All text files of the package that somebody wrote.
struct SourceTree {
    let root: URL
    let files: [SourceFile]

    static let shared = SourceTree()

    private static let suffixes = ["swift", "md", "sh", "py", "yml", "yaml", "json", "c", "h", "txt", "toml"]
    private static let names = ["Makefile", "Dockerfile", "run", ".env.example"]
    private static let skipped = [".build", ".git", ".build-planted", ".build-docker", ".build-venv", "node_modules"]

    init() {
        // This file may be reached through a link; the tree is where it really is.
        var folder = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        for _ in 0..<3 { folder.deleteLastPathComponent() }
        root = folder
        var found: [SourceFile] = []
        Self.collect(folder, prefix: "", into: &found)
        files = found.sorted { $0.path < $1.path }
    }

    private static func collect(_ folder: URL, prefix: String, into found: inout [SourceFile]) {
        let manager = FileManager.default
        let names = ((try? manager.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        for name in names where !skipped.contains(name) {
            let url = folder.appendingPathComponent(name)
            var isFolder: ObjCBool = false
            guard manager.fileExists(atPath: url.path, isDirectory: &isFolder) else { continue }
            if isFolder.boolValue {
                collect(url, prefix: prefix + name + "/", into: &found)
            } else if suffixes.contains(url.pathExtension) || Self.names.contains(name) {
                guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
                found.append(SourceFile(path: prefix + name, text: text))
            }
        }
    }

    var swift: [SourceFile] { files.filter { $0.path.hasSuffix(".swift") } }

    func modules(under folder: String) -> [String] {
        let all = files.filter { $0.path.hasPrefix(folder + "/") }.map(\.module)
        return Set(all).filter { !$0.isEmpty }.sorted()
    }
}

/// Blanks out comments and string contents, so that a rule about code does not stumble over words.
enum CodeStripper {
    private enum Mode {
        case code
        case lineComment
        case blockComment(depth: Int)
        case string(hashes: Int, isMultiline: Bool)
    }

    static func strip(_ text: String) -> [String] {
        let input = Array(text.unicodeScalars)
        var output = String.UnicodeScalarView()
        var mode = Mode.code
        var index = 0
        func starts(_ word: String) -> Bool {
            let wanted = Array(word.unicodeScalars)
            return index + wanted.count <= input.count && Array(input[index..<index + wanted.count]) == wanted
        }
        while index < input.count {
            let scalar = input[index]
            if scalar == "\n" {
                output.append(scalar)
                if case .lineComment = mode { mode = .code }
                index += 1
                continue
            }
            switch mode {
            case .code:
                if starts("//") {
                    mode = .lineComment
                } else if starts("/*") {
                    mode = .blockComment(depth: 1)
                    index += 1
                } else if let opening = stringStart(input, index) {
                    mode = .string(hashes: opening.hashes, isMultiline: opening.isMultiline)
                    index += opening.length - 1
                } else {
                    output.append(scalar)
                }
            case .lineComment: break
            case .blockComment(let depth):
                if starts("*/") {
                    mode = depth == 1 ? .code : .blockComment(depth: depth - 1)
                    index += 1
                } else if starts("/*") {
                    mode = .blockComment(depth: depth + 1)
                    index += 1
                }
            case .string(let hashes, let isMultiline):
                let end = (isMultiline ? "\"\"\"" : "\"") + String(repeating: "#", count: hashes)
                if starts("\\") && hashes == 0 {
                    index += 1
                } else if starts(end) {
                    mode = .code
                    index += end.unicodeScalars.count - 1
                    output.append("\"")
                }
            }
            index += 1
        }
        return String(output).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    }

    private static func stringStart(
        _ input: [Unicode.Scalar],
        _ index: Int
    ) -> (hashes: Int, isMultiline: Bool, length: Int)? {
        var position = index
        while position < input.count, input[position] == "#" { position += 1 }
        let hashes = position - index
        guard position < input.count, input[position] == "\"" else { return nil }
        let isMultiline = position + 2 < input.count && input[position + 1] == "\"" && input[position + 2] == "\""
        return (hashes, isMultiline, hashes + (isMultiline ? 3 : 1))
    }
}
