// SPDX-License-Identifier: Apache-2.0
package import Primitives
import QueueCore

/// Where queues live, and what follows from it.
package enum QueuePlacement {
    /// The shard of a line: `Router.shard(for:count:)` of its placement key.
    package static func shard(ofLine line: Name, count: Int) -> ShardID {
        Router.shard(for: LaneMap.placementKey(of: line), count: count)
    }

    /// Messages move by index, in one command, so only between lines of one shard: those whose queues share a tag.
    static func refusal(of command: QueueCommand) -> QueueError? {
        switch command {
        case .declare(let name, let settings), .update(let name, let settings):
            refusal(from: name, to: settings.deadLetter)
        case .redrive(let redrive): refusal(from: redrive.queue, to: redrive.target)
        default: nil
        }
    }

    private static func refusal(from name: Name, to other: Name) -> QueueError? {
        guard other.byteCount > 0, !LaneMap.areTogether(name, other), let queue = LaneMap.parse(name)?.queue else {
            return nil
        }
        return .invalid("messages of \(queue) move only to queues with its tag, such as {\(queue)}.dead")
    }
}
