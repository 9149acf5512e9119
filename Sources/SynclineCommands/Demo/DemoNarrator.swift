// SPDX-License-Identifier: Apache-2.0
import Synchronization

/// Prints the tour.
final class DemoNarrator: Sendable {
    private let style = Style()
    private let chapter = Mutex(0)

    func title(_ text: String) {
        let number = chapter.withLock { number in
            number += 1
            return number
        }
        Console.out("\n" + style.bold("\(number). \(text)"))
    }

    func say(_ text: String) { Console.out("   \(text)") }

    /// How to do the same by hand.
    func command(_ text: String) { Console.out("   " + style.dim("$ \(text)")) }

    func result(_ text: String) { Console.out("   " + style.green("→ ") + text) }

    func block(_ text: String) {
        for line in text.split(separator: "\n") { Console.out("     \(line)") }
    }

    func header(_ text: String) { Console.out(style.bold(text)) }

    func strong(_ text: String) -> String { style.cyan(text) }
}
