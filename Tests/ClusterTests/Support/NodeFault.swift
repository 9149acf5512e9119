// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What befalls one of three nodes while clients work.
enum NodeFault: String, CaseIterable {
    case kill = "killed"
    case pause = "paused"
    /// Neither hears nor is heard by the others.
    case isolate = "cut off"
    /// Hears the others, and is not heard.
    case mute = "unheard"

    /// How long they go on in the tests of the cache; `make cache-run` asks for ten minutes.
    static var cacheSeconds: Int {
        ProcessInfo.processInfo.environment["SYNCLINE_CACHE_SECONDS"].flatMap(Int.init) ?? 15
    }

    /// Returns when it is over; the node may still be on its way back.
    func inject(
        _ victim: Int,
        _ cluster: TestCluster,
        _ network: ProxyNetwork,
        meanwhile: () throws -> Void
    ) throws {
        let node = cluster.nodes[victim]
        switch self {
        case .kill:
            try node.kill()
            try meanwhile()
            try cluster.start(node)
        case .pause:
            node.pause()
            try meanwhile()
            node.resume()
        case .isolate:
            try network.isolate(victim)
            try meanwhile()
            try network.heal()
        case .mute:
            for other in 0..<3 where other != victim { try network.drop(from: victim, to: other) }
            try meanwhile()
            try network.heal()
        }
    }
}
