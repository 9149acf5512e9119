// SPDX-License-Identifier: Apache-2.0

/// Decides which of a shard's body segments a snapshot writes anew. Pure.
///
/// Three reasons: nothing in a segment lives (it goes), fewer than half of its messages live, or small neighbours fit
/// into one. Neighbours are joined only when that makes every one of them at least half as large again, unless it is
/// written anyhow; so a byte is copied for size at most O(log(mergeBytes)) times in its life (size-tiered merging, as
/// in log-structured merge trees), while the number of segments stays within a constant for each `mergeBytes`.
enum CompactionPlan {
    enum Action: Equatable {
        case keep
        case drop
        case rewrite
    }

    struct Segment {
        var fileBytes: Int
        var messages: Int
        var live: Int

        var isSparse: Bool { live < messages - live }

        /// What a rewrite would write, about.
        var liveBytes: Int { messages == 0 ? 0 : Int(Double(fileBytes) * Double(live) / Double(messages)) }
    }

    /// One action for each segment. `freshBytes` are written behind the last one in any case.
    static func actions(_ segments: [Segment], freshBytes: Int, mergeBytes: Int) -> [Action] {
        var actions = segments.map { $0.live == 0 ? Action.drop : $0.isSparse ? .rewrite : .keep }
        // What stays, and at its end what is new.
        var positions = segments.indices.filter { segments[$0].live > 0 }
        var items = positions.map { (bytes: segments[$0].liveBytes, isWritten: actions[$0] == .rewrite) }
        if freshBytes > 0 {
            positions.append(segments.count)
            items.append((freshBytes, true))
        }
        var start = 0
        while start < items.count {
            guard let end = mergeEnd(items, from: start, mergeBytes) else {
                start += 1
                continue
            }
            for position in positions[start..<end] where position < segments.count { actions[position] = .rewrite }
            start = end
        }
        return actions
    }

    /// The end of the longest run from `start` that is worth joining; nil when there is none of two or more.
    private static func mergeEnd(
        _ items: [(bytes: Int, isWritten: Bool)],
        from start: Int,
        _ mergeBytes: Int
    ) -> Int? {
        var sum = 0
        var largestCopied = 0
        var best: Int?
        for position in start..<items.count {
            sum += items[position].bytes
            guard sum <= mergeBytes else { break }
            if !items[position].isWritten { largestCopied = max(largestCopied, items[position].bytes) }
            if position > start, largestCopied * 3 <= sum * 2 { best = position + 1 }
        }
        return best
    }
}
