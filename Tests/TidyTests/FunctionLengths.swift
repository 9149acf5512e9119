// SPDX-License-Identifier: Apache-2.0

/// Finds functions in stripped Swift code, and how many lines each takes.
struct FunctionLengths {
    struct Function {
        var line: Int
        var length: Int
    }

    private let scalars: [Unicode.Scalar]
    /// Line of each scalar, from 1.
    private let lineNumbers: [Int]

    init(code: [String]) {
        var scalars: [Unicode.Scalar] = []
        var numbers: [Int] = []
        for (number, line) in code.enumerated() {
            for scalar in line.unicodeScalars {
                scalars.append(scalar)
                numbers.append(number + 1)
            }
            scalars.append("\n")
            numbers.append(number + 1)
        }
        self.scalars = scalars
        lineNumbers = numbers
    }

    func all() -> [Function] {
        var found: [Function] = []
        var index = 0
        while index < scalars.count {
            if let word = word(at: index) {
                let isDeclaration = word == "func" || (word == "init" && !isMember(index))
                if isDeclaration, let body = bodyStart(after: index + word.count), let end = bodyEnd(body) {
                    found.append(Function(line: lineNumbers[index], length: lineNumbers[end] - lineNumbers[index] + 1))
                }
                index += word.count
            } else {
                index += 1
            }
        }
        return found
    }

    private func isWordPart(_ scalar: Unicode.Scalar) -> Bool {
        scalar == "_" || scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
    }

    private func word(at index: Int) -> String? {
        guard isWordPart(scalars[index]), index == 0 || !isWordPart(scalars[index - 1]) else { return nil }
        var end = index
        while end < scalars.count, isWordPart(scalars[end]) { end += 1 }
        return String(String.UnicodeScalarView(scalars[index..<end]))
    }

    /// A call such as `self.init` or `.init` declares nothing.
    private func isMember(_ index: Int) -> Bool { index > 0 && scalars[index - 1] == "." }

    /// The opening brace of the body; nil for a requirement without one.
    private func bodyStart(after start: Int) -> Int? {
        var depth = 0
        var index = start
        while index < scalars.count {
            let scalar = scalars[index]
            switch scalar {
            case "(", "[": depth += 1
            case ")", "]": depth -= 1
            case "{" where depth == 0: return index
            case "}" where depth == 0: return nil
            default:
                if depth == 0, let word = word(at: index), ["func", "init", "var", "let", "case"].contains(word) {
                    return nil
                }
            }
            if depth < 0 { return nil }
            index += 1
        }
        return nil
    }

    private func bodyEnd(_ start: Int) -> Int? {
        var depth = 0
        for index in start..<scalars.count {
            if scalars[index] == "{" { depth += 1 }
            if scalars[index] == "}" {
                depth -= 1
                if depth == 0 { return index }
            }
        }
        return nil
    }
}
