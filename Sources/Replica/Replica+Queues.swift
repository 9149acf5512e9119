// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import RaftCore

/// What a leader does for queues beyond applying their commands: it adds bodies to answers, and sees that no queue
/// takes the whole shard.
extension Replica {
    // MARK: Answers

    func reply(_ answer: ShardAnswer, _ id: RequestID, to node: NodeID, _ effects: inout ReplicaEffects) {
        switch answer {
        case .lock(let response): reply(.answer(.lock(response)), id, to: node, &effects)
        case .queue(let response): reply(withBodies(response), id, to: node, &effects)
        case .cache: break
        }
    }

    private func reply(_ found: BodySearch, _ id: RequestID, to node: NodeID, _ effects: inout ReplicaEffects) {
        if found.missing.isEmpty {
            reply(.answer(.queue(found.answer)), id, to: node, &effects)
        } else {
            effects.bodyReads.append(BodyRead(to: node, id: id, answer: found.answer, missing: found.missing))
        }
    }

    private struct BodySearch {
        var answer: QueueAnswer
        var missing: [BodyRead.Missing] = []
    }

    private func withBodies(_ response: QueueResponse) -> BodySearch {
        var found = BodySearch(answer: QueueAnswer(response))
        switch response {
        case .received(let deliveries):
            for delivery in deliveries {
                // A receive that is answered again may name deliveries that have ended since: others may have the
                // messages, and may have settled them.
                if state.queues.isOutstanding(delivery.receipt) {
                    add(delivery.id, to: &found)
                } else {
                    found.answer.contents.append(nil)
                }
            }
        case .messages(let views):
            let page = Self.page(of: views)
            found.answer.response = .messages(page)
            for view in page { add(view.id, to: &found) }
        case .message(.some(let view)): add(view.id, to: &found)
        default: break
        }
        return found
    }

    /// As many messages as one answer may carry, but at least one.
    private static func page(of views: [MessageView]) -> [MessageView] {
        var bytes: UInt64 = 0
        for (position, view) in views.enumerated() {
            bytes += view.bytes
            if bytes > UInt64(QueueAnswer.maxBytes), position > 0 { return Array(views[..<position]) }
        }
        return views
    }

    private func add(_ id: MessageID, to found: inout BodySearch) {
        let content = inLog(id)
        if content == nil, state.queues.isLive(id) {
            found.missing.append(BodyRead.Missing(place: found.answer.contents.count, message: id.rawValue))
        }
        found.answer.contents.append(content)
    }

    /// From the part of the log that is in memory, which holds at least everything after the newest snapshot.
    private func inLog(_ id: MessageID) -> StoredMessage? {
        guard let entry = raft.entry(at: id.entry) else { return nil }
        do throws(DecodingError) {
            guard var reader = try CommandEnvelope.queueCommand(in: entry.payload) else { return nil }
            return try QueueCommand.stored(id.ordinal, decoding: &reader)
        } catch {
            invariantFailure("message \(id) is not in the entry that published it: \(error)")
        }
    }

    // MARK: Fairness between queues

    /// One queue's publishers may fill their share of what is proposed and not committed, not all of it.
    func isCrowded(_ queue: Name) -> Bool {
        (publishing[queue] ?? 0) > configuration.maxUncommittedBytesPerQueue
    }

    mutating func published(_ publish: Publish, _ entry: Entry) {
        guard let bytes = publishing[publish.queue] else { return }
        let left = bytes - entry.payload.count
        publishing[publish.queue] = left > 0 ? left : nil
    }
}
