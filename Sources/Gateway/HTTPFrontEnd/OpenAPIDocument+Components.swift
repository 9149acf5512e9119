// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    static let parameters = """
        "parameters": {
          "id": {"name": "id", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "A session's id, percent-encoded (its namespace is before a slash)."},
          "name": {"name": "name", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "Up to 512 bytes, percent-encoded."},
          "namespace": {"name": "namespace", "in": "query", "schema": {"type": "string", "default": "default"}},
          "prefix": {"name": "prefix", "in": "query", "schema": {"type": "string"}},
          "cursor": {"name": "cursor", "in": "query", "schema": {"type": "integer", "minimum": 0, "default": 0},
            "description": "From the page before; 0 at the start and after the last page."},
          "limit": {"name": "limit", "in": "query",
            "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}},
          \(queueParameters),
          \(cacheParameters)}
        """

    static let responses = """
        "responses": {
          "Problem": {"description": "An error.", "content": {"application/problem+json": {"schema":
            \(ref("Problem"))}}},
          "NotAcquired": {"description": "Not had in time (held, with its holders), or waiting would never end \
        (deadlock, with the cycle).", "content": {"application/problem+json": {"schema": \(ref("Problem"))}}},
          \(queueResponses),
          \(cacheResponses)}
        """

    static let schemas = """
        "schemas": {
          "Mode": {"type": "string", "enum": ["shared", "update", "exclusive"], "default": "exclusive"},
          "GrantedMode": {"type": "string", "enum": ["shared", "update", "exclusive"], "description": "The mode asked \
        for. A session that acquires again what it holds in a stronger mode keeps that one; GET the lock to see it."},
          "Wait": {"oneOf": [{"type": "integer", "minimum": 0, "maximum": 604800000}, {"const": "forever"}],
            "default": 0},
          "Sequence": {"type": "integer", "minimum": 1,
            "description": "Rising within the session; a retry with the same number returns the first result."},
          "OpenSession": {"type": "object", "additionalProperties": false, "properties": {
            "id": {"type": "string"}, "ttl_ms": {"type": "integer", "minimum": 1000, "maximum": 3600000},
            "label": {"type": "string"}, "owner": {"type": "string"},
            "lock_delay_ms": {"type": "integer", "minimum": 0, "maximum": 60000}, "namespace": {"type": "string"}}},
          "SessionOpened": {"type": "object", "required": ["session", "ttl_ms"],
            "properties": {"session": {"type": "string"}, "ttl_ms": {"type": "integer"}}},
          "Session": {"type": "object", "properties": {
            "session": {"type": "string"}, "namespace": {"type": "string"}, "label": {"type": "string"},
            "owner": {"type": "string"}, "ttl_ms": {"type": "integer"}, "lock_delay_ms": {"type": "integer"},
            "remaining_ms": {"type": ["integer", "null"]}, "age_ms": {"type": "integer"},
            "held": {"type": "array", "items": {"type": "string"}}, "held_count": {"type": "integer"},
            "waiting": {"type": "array", "items": {"type": "string"}}}},
          "SessionPage": {"type": "object", "properties": {
            "sessions": {"type": "array", "items": \(ref("Session"))}, "cursor": {"type": "integer"}}},
          "Acquire": {"type": "object", "additionalProperties": false, "required": ["session"], "properties": {
            "session": {"type": "string"}, "mode": \(ref("Mode")),
            "wait_ms": \(ref("Wait")), "priority": {"type": "integer"},
            "sequence": \(ref("Sequence"))}},
          "AcquireAll": {"type": "object", "additionalProperties": false, "required": ["session", "locks"],
            "properties": {
            "session": {"type": "string"}, "wait_ms": \(ref("Wait")),
            "priority": {"type": "integer"}, "sequence": \(ref("Sequence")),
            "locks": {"type": "array", "minItems": 1, "maxItems": 128, "items": {"type": "object",
              "additionalProperties": false, "required": ["name"],
              "properties": {"name": {"type": "string"}, "mode": \(ref("Mode"))}}}}},
          "Granted": {"type": "object", "required": ["token", "mode", "holds"], "properties": {
            "token": {"type": "integer"}, "mode": \(ref("GrantedMode")), "holds": {"type": "integer"}}},
          "GrantedAll": {"type": "object", "properties": {"locks": {"type": "array", "items": {"type": "object",
            "properties": {"name": {"type": "string"}, "mode": \(ref("GrantedMode")),
              "token": {"type": "integer"}}}}}},
          "Convert": {"type": "object", "additionalProperties": false, "required": ["session", "mode"], "properties": {
            "session": {"type": "string"}, "mode": \(ref("Mode")),
            "wait_ms": \(ref("Wait")), "sequence": \(ref("Sequence"))}},
          "Release": {"type": "object", "additionalProperties": false, "required": ["session"], "properties": {
            "session": {"type": "string"}, "sequence": \(ref("Sequence"))}},
          "Break": {"type": "object", "additionalProperties": false, "required": ["reason"], "properties": {
            "reason": {"type": "string"}, "namespace": {"type": "string"}}},
          "AcquirePermits": {"type": "object", "additionalProperties": false, "required": ["session", "limit"],
            "properties": {"session": {"type": "string"},
              "limit": {"type": "integer", "minimum": 1, "maximum": 1000000000},
              "permits": {"type": "integer", "minimum": 1, "default": 1},
              "wait_ms": \(ref("Wait")), "sequence": \(ref("Sequence"))}},
          "ReleasePermits": {"type": "object", "additionalProperties": false, "required": ["session"], "properties": {
            "session": {"type": "string"}, "permits": {"type": "integer", "minimum": 1, "default": 1},
            "sequence": \(ref("Sequence"))}},
          "Campaign": {"type": "object", "additionalProperties": false, "required": ["session", "value"],
            "properties": {
            "session": {"type": "string"}, "value": {"type": "string"},
            "wait_ms": \(ref("Wait")), "sequence": \(ref("Sequence"))}},
          "Leader": {"type": "object", "properties": {"session": {"type": "string"}, "value": {"type": "string"},
            "value_hex": {"type": "string", "description": "In place of value when that is not UTF-8."},
            "token": {"type": "integer"}}},
          "Object": {"type": "object", "properties": {
            "namespace": {"type": "string"}, "name": {"type": "string"},
            "kind": {"type": "string", "enum": ["lock", "semaphore", "election"]}, "limit": {"type": "integer"},
            "value": {"type": "string"}, "delayed": {"type": "boolean"},
            "holder_count": {"type": "integer"}, "waiter_count": {"type": "integer"},
            "holders": {"type": "array", "items": \(ref("Holder"))},
            "waiters": {"type": "array", "items": \(ref("Waiter"))}}},
          "LockPage": {"type": "object", "properties": {
            "locks": {"type": "array", "items": \(ref("Object"))}, "cursor": {"type": "integer"}}},
          "Holder": {"type": "object", "properties": {
            "session": {"type": "string"}, "label": {"type": "string"}, "mode": \(ref("Mode")),
            "token": {"type": "integer"}, "count": {"type": "integer"}, "age_ms": {"type": "integer"}}},
          "Waiter": {"type": "object", "properties": {
            "session": {"type": "string"}, "label": {"type": "string"}, "mode": \(ref("Mode")),
            "conversion": {"type": "boolean"}, "age_ms": {"type": "integer"}}},
          "Transfer": {"type": "object", "additionalProperties": false, "properties": {
            "shard": {"type": "integer", "minimum": 0, "maximum": 65535}, "target": {"type": "string"}}},
          "Member": {"type": "object", "properties": {
            "name": {"type": "string"}, "address": {"type": "string"}, "client_address": {"type": ["string", "null"]},
            "http_address": {"type": ["string", "null"]}, "self": {"type": "boolean"},
            "connected": {"type": "boolean"}}},
          "Cluster": {"type": "object", "properties": {
            "cluster_id": {"type": "string"}, "node": {"type": "string"}, "ready": {"type": "boolean"},
            "not_ready": {"type": "array", "items": {"type": "string"}}, "shards": {"type": "integer"},
            "shards_led": {"type": "integer"},
            "nodes": {"type": "array", "items": \(ref("Member"))}}},
          "Shard": {"type": "object", "properties": {
            "shard": {"type": "integer"}, "role": {"type": "string"}, "term": {"type": "integer"},
            "leader": {"type": ["string", "null"]}, "replicas": {"type": "array", "items": {"type": "string"}},
            "first_index": {"type": "integer"}, "last_index": {"type": "integer"}, "commit_index": {"type": "integer"},
            "applied_index": {"type": "integer"}, "sessions": {"type": "integer"}, "objects": {"type": "integer"}}},
          "Problem": {"type": "object", "required": ["type", "title", "status", "detail", "code", "outcome"],
            "properties": {"type": {"type": "string", "format": "uri"}, "title": {"type": "string"},
              "status": {"type": "integer"}, "detail": {"type": "string"}, "code": {"type": "string"},
              "outcome": {"type": "string", "enum": ["not_done", "partly_done", "unknown"]},
              "holders": {"type": "array", "items": \(ref("Holder"))},
              "cycle": {"type": "array", "items": {"type": "object", "properties": {
                "session": {"type": "string"}, "label": {"type": "string"}, "waits_for": {"type": "string"},
                "mode": \(ref("Mode"))}}},
              "settings": \(ref("QueueSettings")), "settled": {"type": "integer"},
              "results": \(ref("SettleResults")), "version": {"type": "string"}}},
          \(queueSchemas),
          \(publishSchemas),
          \(deliverySchemas),
          \(cacheSchemas)
        }
        """
}
