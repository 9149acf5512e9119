// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    private static let milliseconds = #"{"type": "integer", "minimum": 0, "maximum": 31622400000, "default": 0}"#
    private static let lease = #"{"type": "integer", "minimum": 1, "maximum": 43200000}"#
    private static let integer = #"{"type": "integer"}"#
    private static let string = #"{"type": "string"}"#
    private static let age = #"{"type": ["integer", "null"]}"#

    /// Members of an object that are integers.
    private static func integers(_ names: String...) -> String {
        names.map { "\"\($0)\": \(integer)" }.joined(separator: ", ")
    }

    static let queueParameters = """
        "after": {"name": "after", "in": "query", "schema": {"type": "string"},
            "description": "The next of the page before; empty at the start."},
          "message": {"name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "A message's id, such as 1205-0, or 1205-0-3 of a message in lane 3."},
          "consumer": {"name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "A consumer's id, percent-encoded."}
        """

    static let queueResponses = """
        "QueueExists": {"description": "It exists with other settings, which are listed; nothing was changed.",
            "content": {"application/problem+json": {"schema": \(ref("Problem"))}}},
          "NotPublished": {"description": "The queue is full or its publishing paused, or the lock's token is out of \
        date (fenced); nothing was stored.", "content": {"application/problem+json": {"schema": \(ref("Problem"))}}},
          "InFlight": {"description": "A consumer has it.", "content": {"application/problem+json": {"schema":
            \(ref("Problem"))}}},
          "Stale": {"description": "Receipts of deliveries that have ended, of another queue, or of none.",
            "content": {"application/problem+json": {"schema": \(ref("Problem"))}}}
        """

    static let queueSchemas = """
        "QueueSettings": {"type": "object", "additionalProperties": false, "properties": {
            "lanes": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 1},
            "lease_ms": {"type": "integer", "minimum": 1, "maximum": 43200000, "default": 30000},
            "max_attempts": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 10,
              "description": "Failed attempts after which a message is a dead letter; 0 tries for ever."},
            "dead_letter": {"type": "string", "default": "", "description": "A queue with the same hash tag, such as \
        {orders}.dead for orders; empty keeps dead letters in the queue itself."},
            "max_length": {"type": "integer", "minimum": 0, "maximum": 1000000000000, "default": 0},
            "max_bytes": {"type": "integer", "minimum": 0, "default": 0},
            "overflow": {"type": "string", "enum": ["reject", "drop_oldest"], "default": "reject"},
            "ttl_ms": \(milliseconds),
            "dedup_ms": {"type": "integer", "minimum": 0, "maximum": 86400000, "default": 300000}}},
          "QueueDeclared": {"type": "object", "properties": {"name": \(string), "created": {"type": "boolean"}}},
          "QueueUpdated": {"type": "object", "properties": {"name": \(string), "settings": \(ref("QueueSettings"))}},
          "QueueSide": {"type": "object", "additionalProperties": false, "required": ["side"], "properties": {
            "side": {"type": "string", "enum": ["publish", "consume"]}}},
          "QueuePaused": {"type": "object", "properties": {
            "name": \(string), "side": \(string), "paused": {"type": "boolean"}}},
          "Redrive": {"type": "object", "additionalProperties": false, "properties": {
            "count": {"type": "integer", "minimum": 0, "default": 0, "description": "0 for all that are there now."},
            "rate": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 0,
              "description": "Messages per second; 0 for as fast as can be."},
            "to": {"type": "string", "description": "A queue with the same hash tag; empty for each one's origin."},
            "cause": \(ref("DeadCause"))}},
          "Redriven": {"type": "object", "properties": {\(integers("moved", "left"))}},
          "DeadCause": {"type": "string", "enum": ["attempts", "rejected"]},
          "Queue": {"type": "object", "properties": {"name": \(string),
            \(integers("ready", "in_flight", "delayed", "dead", "bytes")),
            "oldest_ready_ms": \(age), "oldest_in_flight_ms": \(age),
            \(integers("published_total", "acked_total", "delivered_total", "expired_total", "purged_total")),
            \(integers("dropped_total", "dead_lettered_total", "redriven_total", "duplicates_total")),
            \(integers("rejected_total", "nacked_total", "returned_total", "leases_expired_total")),
            \(integers("moved_in_total", "moved_out_total", "waiters", "tenants", "redrive_left")),
            "publish_paused": {"type": "boolean"}, "consume_paused": {"type": "boolean"},
            "dwell": {"type": "object", "description": "From publish to ack; a power of two that is not exceeded.",
              "properties": {"p50_ms": \(age), "p99_ms": \(age)}},
            "settings": \(ref("QueueSettings"))}},
          "QueuePage": {"type": "object", "properties": {
            "queues": {"type": "array", "items": \(ref("Queue"))},
            "next": {"type": ["string", "null"], "description": "To ask on with as after; null at the end."}}}
        """

    static let publishSchemas = """
        "Headers": {"type": "object", "description": "A header that is there more than once is an array.",
            "additionalProperties": {"oneOf": [{"type": "string"}, \(ref("Bytes")),
              {"type": "array", "items": {"oneOf": [{"type": "string"}, \(ref("Bytes"))]}}]}},
          "Bytes": {"type": "object", "required": ["base64"], "additionalProperties": false,
            "properties": {"base64": {"type": "string", "contentEncoding": "base64"}}},
          "LockGuard": {"type": "object", "required": ["name", "token"], "additionalProperties": false,
            "description": "Checked just before the message is stored: refused unless it is a current holder's.",
            "properties": {"name": \(string), "token": \(integer), "namespace": \(string)}},
          "Producer": {"type": "object", "required": ["id", "sequence"], "additionalProperties": false,
            "description": "Rises by one with each publish; a retry with the same number returns the first result.",
            "properties": {"id": \(string), "sequence": {"type": "integer", "minimum": 1}}},
          "PublishMessage": {"type": "object", "additionalProperties": false, "properties": {\(messageMembers)}},
          "Publish": {"type": "object", "additionalProperties": false,
            "description": "One message with its options, or messages; lock, producer and declare hold for all.",
            "properties": {\(messageMembers),
            "messages": {"type": "array", "minItems": 1, "maxItems": 4096, "items": \(ref("PublishMessage"))},
            "lock": \(ref("LockGuard")), "producer": \(ref("Producer")),
            "declare": {"type": "boolean", "default": true, "description": "Creates an unknown queue with defaults."}}},
          "Published": {"type": "object", "properties": {
            "ids": {"type": "array", "items": \(string)}, "duplicates": {"type": "array", "items": \(string),
              "description": "Those that an earlier publish had stored."}}}
        """

    private static let messageMembers = """
        "body": {"type": "string", "description": "At least one byte; or body_base64, not both."},
            "body_base64": {"type": "string", "contentEncoding": "base64"},
            "key": {"type": "string", "description": "Messages of one key are delivered one at a time and in order."},
            "tenant": {"type": "string", "description": "Tenants share a queue fairly."},
            "delay_ms": \(milliseconds),
            "at_unix_ms": {"type": "integer", "minimum": 0, "description": "In place of delay_ms."},
            "priority": {"type": "integer", "minimum": 0, "maximum": 9, "default": 0},
            "ttl_ms": \(milliseconds),
            "id": {"type": "string", "description": "A second message with it within dedup_ms is not stored."},
            "headers": \(ref("Headers"))
        """

    static let deliverySchemas = """
        "MessageState": {"type": "string", "enum": ["ready", "in_flight", "delayed", "dead"], "default": "ready"},
          "DeadLetter": {"type": "object", "properties": {
            "cause": \(ref("DeadCause")), "reason": \(string), "origin": \(string), \(integers("attempts", "died"))}},
          "Message": {"type": "object", "properties": {"id": \(string), "state": \(ref("MessageState")),
            "key": \(string), "tenant": \(string), "consumer": \(string), "due": \(age), "expires": \(age),
            \(integers("bytes", "priority", "published", "failures", "returns", "deliveries")),
            "body": \(string), "body_base64": \(string), "headers": \(ref("Headers")),
            "dead_letter": \(ref("DeadLetter"))}},
          "MessagePage": {"type": "object", "properties": {
            "messages": {"type": "array", "items": \(ref("Message"))}}},
          "Receive": {"type": "object", "additionalProperties": false, "properties": {
            "count": {"type": "integer", "minimum": 1, "maximum": 1024, "default": 1},
            "max_bytes": {"type": "integer", "minimum": 1, "maximum": 8388608, "default": 8388608,
              "description": "Stops before the message that would exceed it, but delivers at least one."},
            "wait_ms": {"type": "integer", "minimum": 0, "maximum": 3600000, "default": 0},
            "lease_ms": \(lease), "consumer": \(string)}},
          "Delivery": {"type": "object", "properties": {"id": \(string), "receipt": \(string),
            "body": \(string),
            "body_base64": {"type": "string", "description": "In place of body when that is not UTF-8."},
            "attempts": {"type": "integer", "description": "Which attempt this is, from 1 on."}, "key": \(string),
            "published": {"type": "integer", "description": "Cluster time in milliseconds."},
            "headers": \(ref("Headers")), \(integers("priority", "lease_ms")),
            "cause": {"type": "string", "enum": ["none", "nacked", "returned", "lease_expired", "consumer_closed",
              "consumer_expired", "not_resumed", "redriven"], "description": "Why it had come back before."},
            "dead_letter": \(ref("DeadLetter"))}},
          "Received": {"type": "object", "properties": {
            "messages": {"type": "array", "items": \(ref("Delivery"))}}},
          "ReceiptList": {"type": "array", "minItems": 1, "maxItems": 4096, "items": \(string)},
          \(settle("Receipts", "")),
          \(settle("Nack", ", \"delay_ms\": \(milliseconds), \"reason\": \(string)")),
          \(settle("Return", ", \"delay_ms\": \(milliseconds)")),
          \(settle("Reject", ", \"reason\": \(string)")),
          \(settle("Extend", ", \"lease_ms\": \(lease)", required: "\"lease_ms\"")),
          "SettleResults": {"type": "array", "items": {"type": "object", "properties": {
            "receipt": \(string),
            "result": {"type": "string", "enum": ["done", "gone", "stale", "other_queue", "forged"]}}}},
          "Settled": {"type": "object", "properties": {
            "settled": \(integer), "results": \(ref("SettleResults"))}},
          "OpenConsumer": {"type": "object", "additionalProperties": false, "required": ["id"], "properties": {
            "id": \(string), "ttl_ms": {"type": "integer", "minimum": 1000, "maximum": 3600000},
            "credit": {"type": "integer", "minimum": 1, "maximum": 4096, "default": 1000,
              "description": "Messages that may be in flight to it."}, "label": \(string)}},
          "ConsumerOpened": {"type": "object", "properties": {"consumer": \(string), "ttl_ms": \(integer)}},
          "Consumer": {"type": "object", "properties": {"consumer": \(string), "label": \(string),
            "remaining_ms": \(age), \(integers("ttl_ms", "age_ms", "credit", "in_flight", "waiting"))}},
          "Resume": {"type": "object", "additionalProperties": false, "required": ["receipts"], "properties": {
            "receipts": {"type": "array", "maxItems": 4096, "items": \(string)}}},
          "ConsumerResumed": {"type": "object", "properties": {
            \(integers("kept", "returned")), "results": \(ref("SettleResults"))}}
        """

    private static func settle(_ name: String, _ options: String, required: String = "") -> String {
        """
        "\(name)": {"type": "object", "additionalProperties": false, "required": [\(required)], "properties": {
            "receipt": \(string), "receipts": \(ref("ReceiptList"))\(options)}}
        """
    }
}
