// SPDX-License-Identifier: Apache-2.0
import NIOCore

/// A port that could not be listened on, with what to do about it.
package struct NodeStartError: Error, CustomStringConvertible {
    package let description: String

    /// Runs `body`; a failed bind is told with the setting it came from.
    static func naming(_ setting: String, _ host: String, _ port: Int, _ body: () async throws -> Void) async throws {
        do {
            try await body()
        } catch let error as IOError {
            throw NodeStartError(
                description: "\(setting): cannot listen on \(host):\(port): \(error). Stop what uses it (ss -ltnp), or "
                    + "choose another with --\(setting)."
            )
        }
    }
}
