// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import QueueCore
import Replica

/// Requests that may be in flight together: only of one namespace and one kind, since only those are certain to take
/// effect in the order they were sent.
struct Lane: Equatable {
    enum Kind {
        case change
        case read
        case renewal
        case publish
        case consume
        case queueRead
        case administration
        case cache
    }

    var kind: Kind
    var namespace: Name
    /// It may wait for others, so nothing after it may start before it is answered.
    var mayWait = false
    /// It takes several steps, so nothing after it may start before it is answered.
    var isExclusive = false
    /// What its answer may weigh, if that is much.
    var bytes = 0

    init(_ request: Request) {
        namespace = request.placementKey ?? ""
        switch request {
        case .command(let command):
            kind = .change
            switch command {
            case .acquire(let acquire): mayWait = acquire.wait != .none
            case .convert(let convert): mayWait = convert.wait != .none
            default: break
            }
        case .queue(let command):
            kind = .change
            mayWait = command.mayWait
        case .query, .queueQuery: kind = .read
        case .renew, .renewConsumer: kind = .renewal
        case .cache: kind = .read
        }
    }

    /// Which commands of the cache may be in flight together their keys tell (`CacheFlights`).
    init(_ request: CacheRequest) {
        kind = .cache
        namespace = ""
        isExclusive = request.isAboutAll
        bytes = CacheFlights.promisedBytes(request)
    }

    /// Publishes and receives take turns: a queue's lanes may live in several shards, which keep no order between
    /// them.
    init(_ operation: QueueOperation) {
        namespace = operation.queue ?? ""
        switch operation {
        case .publish(let publish):
            kind = .publish
            isExclusive = publish.guardedBy != nil
        case .receive(let receive):
            kind = .consume
            mayWait = receive.waitMilliseconds > 0
            bytes = Int(clamping: receive.maxBytes)
        case .settle: kind = .consume
        case .stats, .list, .consumer, .renewConsumer: kind = .queueRead
        case .peek, .message:
            kind = .queueRead
            isExclusive = true
        case .declare, .update, .delete, .cancel, .purge, .pause, .resume, .redrive, .cancelRedrive, .openConsumer,
            .closeConsumer, .resumeConsumer:
            kind = .administration
            isExclusive = true
        }
    }
}
