// SPDX-License-Identifier: Apache-2.0
import Testing

/// Everything here runs `syncline` itself, as an operator and a client would, and looks at it from outside.
///
/// One test at a time: each starts a cluster of its own, and clusters that compete for two cores would have elections
/// that no test asked for.
@Suite("Real processes", .serialized)
enum RealProcesses {}
