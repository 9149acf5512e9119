// SPDX-License-Identifier: Apache-2.0

extension LockMode {
    /// The compatibility table (DESIGN §5): may one session hold `self` while another holds `other`? Symmetric.
    ///
    /// |           | shared | update | exclusive |
    /// |-----------|--------|--------|-----------|
    /// | shared    |  yes   |  yes   |    no     |
    /// | update    |  yes   |   no   |    no     |
    /// | exclusive |   no   |   no   |    no     |
    ///
    /// What a mode conflicts with grows from shared to update to exclusive; deadlock detection relies on it.
    package func isCompatible(with other: LockMode) -> Bool {
        switch (self, other) {
        case (.shared, .shared), (.shared, .update), (.update, .shared): true
        case (.shared, .exclusive), (.update, .update), (.update, .exclusive): false
        case (.exclusive, .shared), (.exclusive, .update), (.exclusive, .exclusive): false
        }
    }

    /// Holding `self` is as good as holding `other`.
    package func covers(_ other: LockMode) -> Bool { rawValue >= other.rawValue }
}
