// SPDX-License-Identifier: Apache-2.0

/// What this build calls itself: in `syncline --version`, `/version`, the peer handshake and `syncline_build_info`.
package enum SynclineVersion {
    /// Semantic version of the server and its tools.
    package static let current = "0.1.0"

    /// For people: name and version on one line.
    package static let text = "syncline \(current)"
}
