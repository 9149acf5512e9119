// SPDX-License-Identifier: Apache-2.0
package import Primitives

extension Raft {
    /// The term of a position that is still in memory or is the newest snapshot's; nil elsewhere.
    package func term(at index: LogIndex) -> Term? { log.term(at: index) }
}
