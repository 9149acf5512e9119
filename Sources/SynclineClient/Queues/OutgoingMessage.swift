// SPDX-License-Identifier: Apache-2.0

/// When a message may first be delivered.
public enum MessageSchedule: Sendable, Hashable {
    case immediately
    /// This long after it was published; at most 366 days, counted in whole milliseconds.
    case after(Duration)
    /// At this time of day, in milliseconds since 1970; at once when that has passed. It is compared with the clock of
    /// the node that takes the message.
    case at(unixMilliseconds: Int64)
}

/// A name with a value that travels with a message, apart from its body.
public struct QueueHeader: Sendable, Hashable {
    /// At least one byte of UTF-8. All headers of a message have at most 64 KiB.
    public var name: String
    /// Any bytes, passed on unchanged.
    public var value: [UInt8]

    public init(name: String, value: [UInt8]) {
        self.name = name
        self.value = value
    }

    public init(name: String, value: String) { self.init(name: name, value: Array(value.utf8)) }

    /// The value, when it is UTF-8.
    public var text: String? { String(validating: value, as: UTF8.self) }
}

/// A message to be published.
public struct OutgoingMessage: Sendable, Hashable {
    /// Any bytes, passed on unchanged; 1 byte to 1 MiB unless the cluster is set otherwise.
    public var body: [UInt8]
    /// Messages of one key are delivered one at a time and in the order they were published. nil: no order.
    public var key: String?
    public var schedule = MessageSchedule.immediately
    /// 0–9; among messages that are ready, higher goes first.
    public var priority = 0
    /// The message is dropped when nobody has taken it for this long; at most 366 days. nil: the queue's setting.
    public var ttl: Duration?
    /// An id of your own: a second message with it, within the queue's window, is not stored, and the id of the first
    /// is answered. At most 512 bytes.
    public var id: String?
    public var headers: [QueueHeader] = []
    /// Tenants share a queue fairly, however much each publishes. At most 128 bytes.
    public var tenant: String?
    /// Publish only if this grant's token is the lock's latest, which is checked just before the message is stored;
    /// else fail with ``SynclineError/Code/fenced``.
    public var lock: LockGrant?

    public init(
        body: [UInt8],
        key: String? = nil,
        schedule: MessageSchedule = .immediately,
        priority: Int = 0,
        ttl: Duration? = nil,
        id: String? = nil,
        headers: [QueueHeader] = [],
        tenant: String? = nil,
        lock: LockGrant? = nil
    ) {
        self.body = body
        self.key = key
        self.schedule = schedule
        self.priority = priority
        self.ttl = ttl
        self.id = id
        self.headers = headers
        self.tenant = tenant
        self.lock = lock
    }

    /// A message whose body is text.
    public init(_ text: String, key: String? = nil) { self.init(body: Array(text.utf8), key: key) }
}
