// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import Replica

/// The namespaces and names of a run, made once so that the run itself builds no strings.
struct NameTable {
    let namespaces: [Name]
    let locks: [Name]
    let semaphores: [Name]
    let elections: [Name]
    let shards: [Int]

    init(swarm: Swarm) {
        namespaces = (0..<swarm.namespaces).map { $0 == 0 ? Name.defaultNamespace : Name("space\($0)") }
        locks = (0..<swarm.names).map { Name("lock\($0)") }
        semaphores = (0..<max(1, swarm.names / 2)).map { Name("semaphore\($0)") }
        elections = (0..<max(1, swarm.names / 3)).map { Name("election\($0)") }
        shards = namespaces.map { Int(Router.shard(for: $0, count: swarm.shards).rawValue) }
    }

    /// Semaphores have a size that follows from their name, so that all clients agree on it.
    func limit(ofSemaphore position: Int) -> UInt64 { UInt64(position % 3 + 1) }
}
