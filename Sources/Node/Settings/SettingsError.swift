// SPDX-License-Identifier: Apache-2.0

/// One thing wrong with the settings: where, why and what mends it.
package struct SettingProblem: Sendable, Equatable, CustomStringConvertible {
    /// What the operator wrote: a flag, a variable, a file key.
    package let subject: String
    package let cause: String
    /// An instruction, with the exact command or value where there is one.
    package let remedy: String

    package init(subject: String, cause: String, remedy: String) {
        self.subject = subject
        self.cause = cause
        self.remedy = remedy
    }

    package var description: String { "\(subject): \(cause)\n  → \(remedy)" }
}

/// Everything wrong with the settings, so that one run shows all of it.
package struct SettingsError: Error, Equatable, CustomStringConvertible {
    package let problems: [SettingProblem]

    package init(_ problems: [SettingProblem]) { self.problems = problems }

    package var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Why a text is not a value of its setting.
struct SettingValueError: Error {
    let cause: String
    let remedy: String

    init(_ cause: String, _ remedy: String) {
        self.cause = cause
        self.remedy = remedy
    }
}

enum Suggestion {
    /// The candidate nearest to `word`, if it is near enough to be a slip of the fingers.
    static func nearest(to word: String, in candidates: [String]) -> String? {
        let ranked = candidates.map { (candidate: $0, distance: distance(word, $0)) }
        guard let best = ranked.min(by: { $0.distance < $1.distance }) else { return nil }
        return best.distance <= max(2, word.utf8.count / 3) ? best.candidate : nil
    }

    /// Edits (insert, delete, replace, swap of neighbours) between two words: optimal string alignment distance.
    static func distance(_ left: String, _ right: String) -> Int {
        let left = Array(left.utf8)
        let right = Array(right.utf8)
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for row in left.indices {
            var current = [row + 1]
            for column in right.indices {
                var cost = min(previous[column + 1], current[column]) + 1
                cost = min(cost, previous[column] + (left[row] == right[column] ? 0 : 1))
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, beforePrevious[column - 1] + 1)
                }
                current.append(cost)
            }
            beforePrevious = previous
            previous = current
        }
        return previous[right.count]
    }
}
