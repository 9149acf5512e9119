// SPDX-License-Identifier: Apache-2.0

/// A name that a client chose: UTF-8 text compared, hashed and ordered by its bytes.
///
/// `String` compares by Unicode canonical equivalence, whose tables change with the Swift version; two replicas
/// built with different toolchains could then disagree whether two names are the same. Bytes cannot disagree.
package struct Name: Sendable, CustomStringConvertible, ExpressibleByStringLiteral {
    package let text: String

    package init(_ text: String) { self.text = text }

    package init(stringLiteral text: String) { self.text = text }

    package var description: String { text }

    package var byteCount: Int { text.utf8.count }
}

extension Name: Hashable {
    package static func == (left: Name, right: Name) -> Bool {
        left.text.utf8.count == right.text.utf8.count && left.text.utf8.elementsEqual(right.text.utf8)
    }

    package func hash(into hasher: inout Hasher) {
        var text = text
        text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
    }
}

extension Name: Comparable {
    package static func < (left: Name, right: Name) -> Bool {
        left.text.utf8.lexicographicallyPrecedes(right.text.utf8)
    }
}
