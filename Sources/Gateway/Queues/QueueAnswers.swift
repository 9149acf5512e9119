// SPDX-License-Identifier: Apache-2.0
package import Primitives
package import QueueCore
import Replica

/// Reading the answers of lines.
extension Response {
    /// The queue service's answer when it is not a refusal.
    var queueResponse: QueueResponse? {
        guard case .queue(let answer) = self else { return nil }
        if case .refused = answer.response { return nil }
        return answer.response
    }

    var queueRefusal: QueueError? {
        guard case .queue(let answer) = self, case .refused(let refusal) = answer.response else { return nil }
        return refusal
    }

    /// True when the line of a lane is not there.
    var isNoQueue: Bool {
        if case .noQueue = queueRefusal { true } else { false }
    }

    /// As an answer about the whole queue: refusals name queues, not lines.
    var ofQueue: Response {
        switch queueRefusal {
        case .noQueue(let line): .queue(QueueAnswer(.refused(.noQueue(line.queue))))
        case .full(let line): .queue(QueueAnswer(.refused(.full(line.queue))))
        case .noConsumer(let key): .queue(QueueAnswer(.refused(.noConsumer(ConsumerKey.id(of: key)))))
        case .consumerExists(let key): .queue(QueueAnswer(.refused(.consumerExists(ConsumerKey.id(of: key)))))
        case .noCredit(let key): .queue(QueueAnswer(.refused(.noCredit(ConsumerKey.id(of: key)))))
        default: self
        }
    }
}

extension Name {
    /// The queue that a line belongs to.
    var queue: Name { LaneMap.parse(self)?.queue ?? self }
}

extension DeadLetter {
    /// The queue it died in, whichever lane that was.
    package var originQueue: Name { origin.queue }
}

extension [Response] {
    /// What an operation over several lanes failed with, if it did. When a part was carried out all the same, or may
    /// have been, the outcome is unknown to whoever asked for the whole.
    func failure(of what: String) -> Response? {
        var failure: Response?
        var done = 0
        for response in self {
            if response.queueResponse != nil {
                done += 1
            } else if case .unavailable(.unknown, _) = response {
                return response
            } else if failure == nil {
                failure = response
            }
        }
        guard let failure, done > 0, let text = RefusalText(failure.ofQueue) else { return failure?.ofQueue }
        return .unavailable(.unknown, reason: "\(what) was done in \(done) of \(count) lanes, then: \(text.detail)")
    }
}

extension QueueAnswer {
    /// The deliveries that still have their messages.
    var received: [ReceivedMessage] {
        guard case .received(let deliveries) = response else { return [] }
        return zip(deliveries, contents).compactMap { delivery, content in
            content?.readable.map { ReceivedMessage(delivery: delivery, content: $0) }
        }
    }

    func peeked(in lane: Int) -> [PeekedMessage] {
        switch response {
        case .messages(let views):
            views.enumerated().map { PeekedMessage(view: $1.told, lane: lane, content: content(at: $0)) }
        case .message(.some(let view)): [PeekedMessage(view: view.told, lane: lane, content: content(at: 0))]
        default: []
        }
    }

    private func content(at position: Int) -> PublishMessage? {
        position < contents.count ? contents[position]?.readable : nil
    }
}

extension MessageView {
    /// As its queue's users know it.
    fileprivate var told: MessageView {
        var view = self
        view.consumer = ConsumerKey.id(of: consumer)
        return view
    }
}

extension StoredMessage {
    /// Nil for damaged bytes: such a message is never handed out, and becomes a dead letter by its attempts.
    fileprivate var readable: PublishMessage? { try? unpacked() }
}
