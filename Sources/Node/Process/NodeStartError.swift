// SPDX-License-Identifier: Apache-2.0
import NIOCore
import Primitives

/// What keeps a node from starting, with what to do about it.
package struct NodeStartError: Error, CustomStringConvertible {
    package let description: String

    static func placementDiffers(stored version: UInt64) -> NodeStartError {
        NodeStartError(
            description: "the cluster's placement table (version \(version)) names other nodes than these settings "
                + "propose. Start with the peers, replicas and virtual-nodes of the cluster's first start."
        )
    }

    /// Runs `body`; a snapshot that cannot be read is told with its shard.
    static func naming<Result>(
        _ shard: ShardID,
        _ body: () throws(DecodingError) -> Result
    ) throws(NodeStartError) -> Result {
        do throws(DecodingError) {
            return try body()
        } catch {
            throw NodeStartError(
                description: "the snapshot of \(shard) cannot be understood (\(error)); \(error.remedy)."
            )
        }
    }

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
