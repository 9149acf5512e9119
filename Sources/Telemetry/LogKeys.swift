// SPDX-License-Identifier: Apache-2.0

/// The names of log fields. A field has one name everywhere, so that logs of all nodes can be searched together.
package enum LogKeys {
    // Written by the handler itself, on every line.
    package static let time = "ts"
    package static let level = "level"
    package static let message = "msg"
    package static let logger = "logger"
    package static let node = "node"

    // Who.
    package static let peer = "peer"
    package static let cluster = "cluster"
    package static let incarnation = "incarnation"
    package static let address = "address"
    package static let client = "client"
    package static let session = "session"
    package static let namespace = "namespace"
    package static let lock = "lock"

    // Where in the log.
    package static let shard = "shard"
    package static let role = "role"
    package static let term = "term"
    package static let index = "index"
    package static let leader = "leader"

    // What.
    package static let reason = "reason"
    package static let error = "error"
    package static let path = "path"
    package static let command = "command"
    package static let bytes = "bytes"
    package static let count = "count"
    package static let milliseconds = "duration_ms"
    package static let version = "version"

    /// Keys that metadata may not take; metadata with one of these names gets an underscore at its end.
    static let reserved: Set<String> = [time, level, message, logger, node]
}
