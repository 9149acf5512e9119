// SPDX-License-Identifier: Apache-2.0
import CacheCore

extension OpenAPIDocument {
    private static let writeParameters = """
        {"name": "durability", "in": "query", "schema": \(ref("Durability")),
                "description": "What must have happened when this answers; else as the node's settings say."},
              {"name": "lock", "in": "query", "schema": {"type": "string"},
                "description": "A JSON text, see LockGuard: done only while this is the lock's latest token."}
        """

    private static func header(_ name: String, _ description: String) -> String {
        """
        {"name": "\(name)", "in": "header", "schema": {"type": "string"}, "description": "\(description)"}
        """
    }

    private static func answer(_ description: String, _ schema: String) -> String {
        "\"200\": {\"description\": \"\(description)\", \"content\": {\(json): {\"schema\": \(ref(schema))}}}"
    }

    private static func body(_ schema: String) -> String {
        "\"requestBody\": {\"content\": {\(json): {\"schema\": \(ref(schema))}}}"
    }

    static let cachePaths = """
        "/v1/cache": {
          "get": {"operationId": "getCache", "tags": ["cache"], "summary": "Figures of this node's cache.",
            "responses": {\(answer("The figures.", "CacheStatistics")), \(problem)}}},
        "/v1/cache/{key}": {
          "parameters": [\(parameter("key"))],
          "get": {"operationId": "getValue", "tags": ["cache"],
            "summary": "The latest value, from this node's memory if it may answer.",
            "parameters": [
              \(header("If-None-Match", "An ETag: 304 when the value is still that one.")),
              \(header("If-Match", "An ETag: 412 when the value is another."))],
            "responses": {"200": {"description": "The value.", "headers": {
                "ETag": {"schema": {"type": "string"}, "description": "The value's version."},
                "Syncline-State": {"schema": {"type": "string", "enum": ["M", "E", "S", "I"]},
                  "description": "The state that this node holds the line in."},
                "Syncline-TTL-Ms": {"schema": {"type": "integer"},
                  "description": "Milliseconds that it has left; missing when it never expires."}},
              "content": {"application/octet-stream": {}}},
              "304": {"description": "Still the version of If-None-Match."},
              "404": \(response("NoKey")), \(problem)}},
          "put": {"operationId": "setValue", "tags": ["cache"],
            "summary": "Set a value: the body as it is, up to 8 MiB, whatever its Content-Type.",
            "parameters": [
              {"name": "ttl_ms", "in": "query", "schema": \(ttl),
                "description": "Milliseconds that it lives; for ever when not given."},
              {"name": "keep_ttl", "in": "query", "schema": {"type": "boolean", "default": false},
                "description": "It expires when the value before would have."},
              \(writeParameters),
              \(header("If-Match", "An ETag: done only while it is that value; * while there is any. Never creates.")),
              \(header("If-None-Match", "Only *: done only where there is none, which creates the key."))],
            "requestBody": {"required": true, "content": {"application/octet-stream": {}}},
            "responses": {\(answer("Set; its version is the ETag too.", "CacheWritten")),
              "409": \(response("Fenced")), "412": \(response("ConditionFailed")), \(problem)}},
          "delete": {"operationId": "removeValue", "tags": ["cache"], "summary": "Remove a key.",
            "parameters": [\(writeParameters),
              \(header("If-Match", "An ETag: done only while the value is that one. If-None-Match is refused."))],
            "responses": {"200": {"description": "Whether it was there.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"removed": {"type": "boolean"}}}}}},
              "409": \(response("Fenced")), "412": \(response("ConditionFailed")), \(problem)}}},
        "/v1/cache/{key}/increment": {
          "parameters": [\(parameter("key"))],
          "post": {"operationId": "incrementValue", "tags": ["cache"],
            "summary": "Add to a decimal integer; an absent key counts as 0.",
            "description": "Not to be sent again when the outcome is unknown: it may be added twice.",
            \(body("Increment")),
            "responses": {\(answer("The new number.", "Incremented")), "409": \(response("Fenced")), \(problem)}}},
        "/v1/cache/{key}/expire": {
          "parameters": [\(parameter("key"))],
          "post": {"operationId": "expireValue", "tags": ["cache"],
            "summary": "Let a key expire, or never.",
            \(body("Expire")),
            "responses": {"200": {"description": "False: no such key, or nothing to change.", "content": {\(json):
              {"schema": {"type": "object", "properties": {
                "changed": {"type": "boolean"}, "version": {"type": "string"}}}}}},
              "409": \(response("Fenced")), \(problem)}}},
        "/v1/cache/{key}/line": {
          "parameters": [\(parameter("key"))],
          "get": {"operationId": "getLine", "tags": ["cache"], "summary": "What every node holds of a key.",
            "responses": {\(answer("The line.", "CacheLine")), \(problem)}}},
        "/v1/cache/{key}/evict": {
          "parameters": [\(parameter("key"))],
          "post": {"operationId": "evictLine", "tags": ["cache"],
            "summary": "Drop this node's copy of a key, written back if need be. The key stays.",
            "responses": {"200": {"description": "Whether it had one.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"evicted": {"type": "boolean"}}}}}}, \(problem)}}},
        "/v1/cache/flush": {
          "post": {"operationId": "flushCache", "tags": ["cache"],
            "summary": "Write back what only this node's memory has until now.",
            \(body("Flush")),
            "responses": {"200": {"description": "How many lines.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"lines": {"type": "integer"}}}}}}, \(problem)}}},
        "/v1/cache/clear": {
          "post": {"operationId": "clearCache", "tags": ["cache"], "summary": "Remove every key of the cluster.",
            "responses": {"200": {"description": "Removed.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"cleared": {"const": true}}}}}}, \(problem)}}},
        "/v1/keys": {
          "get": {"operationId": "listKeys", "tags": ["cache"],
            "summary": "The keys, page by page, in no order; one may come twice.",
            "parameters": [\(parameter("page")), \(parameter("limit")),
              {"name": "match", "in": "query", "schema": {"type": "string"},
                "description": "A pattern with *, ? and [a-z]. Pages may be empty before the last."}],
            "responses": {\(answer("A page.", "KeyPage")), \(problem)}}},
        "/v1/keys/count": {
          "get": {"operationId": "countKeys", "tags": ["cache"], "summary": "How many keys the cluster has.",
            "responses": {"200": {"description": "The number.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"keys": {"type": "integer"}}}}}}, \(problem)}}}
        """

    static let cacheParameters = """
        "key": {"name": "key", "in": "path", "required": true, "schema": {"type": "string"},
            "description": "1 to 4096 bytes of any kind, percent-encoded; a slash is %2F."},
          "page": {"name": "cursor", "in": "query", "schema": {"type": "string", "pattern": "^[0-9]+$", "default": "0"},
            "description": "The cursor of the page before, as it is; 0 at the start."}
        """

    static let cacheResponses = """
        "NoKey": {"description": "There is no such key.",
            "content": {"application/problem+json": {"schema": \(ref("Problem"))}}},
          "Fenced": {"description": "The lock's token is out of date; nothing was done.",
            "content": {"application/problem+json": {"schema": \(ref("Problem"))}}},
          "ConditionFailed": {"description": "If-Match or If-None-Match did not hold; nothing was done. version is \
        the key's.", "content": {"application/problem+json": {"schema": \(ref("Problem"))}}}
        """

    private static let ttl = "{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 9007199254740991}"

    private static let writeMembers = "\"durability\": \(ref("Durability")), \"lock\": \(ref("LockGuard"))"

    static let cacheSchemas = """
        "Durability": {"type": "string", "enum": ["replicated", "through", "local", "volatile"]},
          "CacheWritten": {"type": "object", "required": ["version"], "properties": {"version": {"type": "string"}}},
          "Increment": {"type": "object", "additionalProperties": false, "properties": {
            "by": {"type": "integer", "default": 1}, \(writeMembers)}},
          "Incremented": {"type": "object", "required": ["value", "version"], "properties": {
            "value": {"type": "integer"}, "version": {"type": "string"}}},
          "Expire": {"type": "object", "additionalProperties": false, "properties": {
            "ttl_ms": {"type": ["integer", "null"], "minimum": 1, "maximum": 9007199254740991,
              "description": "Missing or null: it never expires."}, \(writeMembers)}},
          "Flush": {"type": "object", "additionalProperties": false, "properties": {
            "all": {"type": "boolean", "default": false,
              "description": "Of every node. partly_done names those that did not answer in time."}}},
          "CacheKey": {"oneOf": [{"type": "string"}, {"type": "object", "required": ["base64"],
            "properties": {"base64": {"type": "string"}}}], "description": "In base 64 when it is no text."},
          "KeyPage": {"type": "object", "required": ["keys", "cursor"], "properties": {
            "keys": {"type": "array", "items": \(ref("CacheKey"))},
            "cursor": {"type": "string", "pattern": "^[0-9]+$", "description": "Of the next page; 0 after the last. \
        A number of 64 bits, more than many JSON parsers keep: to be passed on as it is."}}},
          "CacheLine": {"type": "object", "properties": {
            "key": \(ref("CacheKey")), "shard": {"type": "integer"},
            "home": {"type": ["string", "null"], "description": "The node that keeps the directory of the key."},
            "epoch": {"type": "integer", "description": "Raft term of the home."},
            "nodes": {"type": "array", "items": {"type": "object", "properties": {
              "node": {"type": "string"}, "reachable": {"type": "boolean"},
              "state": {"type": "string", "enum": ["M", "E", "S", "I"]}, "version": {"type": ["string", "null"]},
              "lease_ms": {"type": ["integer", "null"]}}}}}},
          "CacheStatistics": {"type": "object", "properties": {
            \(figureMembers),
            "lines": {"type": "object", "additionalProperties": {"type": "integer"},
              "description": "Lines held, by state."},
            "transitions": {"type": "object", "additionalProperties": {"type": "integer"},
              "description": "Changes of state, such as IS."}}}
        """

    private static let figureMembers = CacheStatistics().figures.map { "\"\($0.name)\": {\"type\": \"integer\"}" }
        .joined(separator: ", ")
}
