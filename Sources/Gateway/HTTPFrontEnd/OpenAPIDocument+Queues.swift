// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    private static func body(_ schema: String, required: Bool = true) -> String {
        "\"requestBody\": {\"required\": \(required), \"content\": {\(json): {\"schema\": \(ref(schema))}}}"
    }

    private static func answer(_ description: String, _ schema: String, _ status: Int = 200) -> String {
        "\"\(status)\": {\"description\": \"\(description)\", \"content\": {\(json): {\"schema\": \(ref(schema))}}}"
    }

    private static func query(_ name: String, _ schema: String, _ description: String) -> String {
        "{\"name\": \"\(name)\", \"in\": \"query\", \"description\": \"\(description)\", \"schema\": \(schema)}"
    }

    private static let removed = """
        "200": {"description": "How many messages went.", "content": {\(json): {"schema":
          {"type": "object", "properties": {"messages_removed": {"type": "integer"}}}}}}
        """

    static let queuePaths = """
        "/v1/queues": {
          "get": {"operationId": "listQueues", "tags": ["queues"],
            "summary": "The queues in the order of their names, page by page.",
            "parameters": [\(parameter("prefix")), \(parameter("after")), \(parameter("limit"))],
            "responses": {\(answer("A page.", "QueuePage")), \(problem)}}},
        "/v1/queues/{name}": {
          "parameters": [\(parameter("name"))],
          "get": {"operationId": "getQueue", "tags": ["queues"], "summary": "Depth, figures and settings of a queue.",
            "responses": {\(answer("The queue.", "Queue")), \(problem)}},
          "put": {"operationId": "declareQueue", "tags": ["queues"],
            "summary": "Create a queue. What is not named takes its default; the first publish does the same.",
            \(body("QueueSettings", required: false)),
            "responses": {\(answer("Created.", "QueueDeclared", 201)),
              \(answer("It exists with these settings already.", "QueueDeclared")),
              "409": \(response("QueueExists")), \(problem)}},
          "patch": {"operationId": "updateQueue", "tags": ["queues"],
            "summary": "Change the settings that are named. Lanes can only be raised.",
            \(body("QueueSettings")),
            "responses": {\(answer("All settings as they are now.", "QueueUpdated")), \(problem)}},
          "delete": {"operationId": "deleteQueue", "tags": ["queues"],
            "summary": "Remove a queue with its messages.",
            "responses": {\(removed), \(problem)}}},
        "/v1/queues/{name}/purge": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "purgeQueue", "tags": ["queues"],
            "summary": "Remove every message, in all states, and keep the queue.",
            "responses": {\(removed), \(problem)}}},
        "/v1/queues/{name}/pause": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "pauseQueue", "tags": ["queues"],
            "summary": "Refuse publishes, or hand out nothing, until it is resumed.",
            \(body("QueueSide")), "responses": {\(answer("Paused.", "QueuePaused")), \(problem)}}},
        "/v1/queues/{name}/resume": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "resumeQueue", "tags": ["queues"], "summary": "End a pause.",
            \(body("QueueSide")), "responses": {\(answer("Resumed.", "QueuePaused")), \(problem)}}},
        "/v1/queues/{name}/redrive": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "redriveQueue", "tags": ["queues"],
            "summary": "Move dead letters back to where they came from, or to another queue.",
            \(body("Redrive", required: false)),
            "responses": {\(answer("Begun; left are still to come.", "Redriven")), \(problem)}},
          "delete": {"operationId": "cancelRedrive", "tags": ["queues"],
            "summary": "Stop a redrive; what it has moved stays moved.",
            "responses": {\(answer("Stopped.", "Redriven")), \(problem)}}}
        """

    static let messagePaths = """
        "/v1/queues/{name}/messages": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "publish", "tags": ["messages"],
            "summary": "Publish one message or several. They are on the disks of a majority when this answers.",
            "description": "With a Content-Type that is not JSON, such as application/octet-stream, the body is the \
        message itself and the query parameters are its options; objects among them are JSON texts. They count only \
        then.",
            "parameters": [
              \(query("key", #"{"type": "string"}"#, "See Publish.")),
              \(query("tenant", #"{"type": "string"}"#, "See Publish.")),
              \(query("delay_ms", #"{"type": "integer"}"#, "See Publish.")),
              \(query("at_unix_ms", #"{"type": "integer"}"#, "See Publish.")),
              \(query("priority", #"{"type": "integer"}"#, "See Publish.")),
              \(query("ttl_ms", #"{"type": "integer"}"#, "See Publish.")),
              \(query("id", #"{"type": "string"}"#, "See Publish.")),
              \(query("headers", #"{"type": "string"}"#, "A JSON text; see Publish.")),
              \(query("lock", #"{"type": "string"}"#, "A JSON text; see Publish.")),
              \(query("producer", #"{"type": "string"}"#, "A JSON text; see Publish.")),
              \(query("declare", #"{"type": "boolean"}"#, "See Publish."))],
            "requestBody": {"required": true, "content": {\(json): {"schema": \(ref("Publish"))},
              "application/octet-stream": {}}},
            "responses": {\(answer("Stored, or known from an earlier publish.", "Published", 201)),
              "409": \(response("NotPublished")), "413": \(response("Problem")), \(problem)}},
          "get": {"operationId": "peek", "tags": ["messages"],
            "summary": "Look at the first messages in a state without taking them.",
            "parameters": [
              {"name": "state", "in": "query", "schema": \(ref("MessageState"))},
              {"name": "limit", "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": 32, "default": 10}}],
            "responses": {\(answer("The messages.", "MessagePage")), \(problem)}}},
        "/v1/queues/{name}/messages/{id}": {
          "parameters": [\(parameter("name")), \(parameter("message"))],
          "get": {"operationId": "getMessage", "tags": ["messages"], "summary": "One message, in any state.",
            "responses": {\(answer("The message.", "Message")), \(problem)}},
          "delete": {"operationId": "cancelMessage", "tags": ["messages"],
            "summary": "Take back a message that no consumer has.",
            "responses": {"200": {"description": "Gone.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"cancelled": {"const": true}}}}}},
              "409": \(response("InFlight")), \(problem)}}},
        "/v1/queues/{name}/receive": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "receive", "tags": ["messages"],
            "summary": "Take messages under a lease. Settle each before it runs out, or it comes again.",
            \(body("Receive", required: false)),
            "responses": {\(answer("The messages; none when there was none in time.", "Received")), \(problem)}}},
        \(settle("ack", "Done: the messages are no more.", "Receipts")),
        \(settle("nack", "Failed: counts as an attempt; comes again, or becomes a dead letter.", "Nack")),
        \(settle("return", "Given back unread: does not count as an attempt.", "Return")),
        \(settle("reject", "Failed for good: dead letters at once.", "Reject")),
        \(settle("extend", "The leases run anew from now.", "Extend"))
        """

    private static func settle(_ verb: String, _ summary: String, _ schema: String) -> String {
        """
        "/v1/queues/{name}/\(verb)": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "\(verb)", "tags": ["messages"], "summary": "\(summary)",
            "description": "Exactly one of receipt and receipts. Those of messages that are gone already count as well \
        settled; when any is stale the answer is 409, and the others were carried out.",
            \(body(schema)),
            "responses": {\(answer("What became of each.", "Settled")), "409": \(response("Stale")), \(problem)}}}
        """
    }

    static let consumerPaths = """
        "/v1/queues/{name}/consumers": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "openConsumer", "tags": ["consumers"],
            "summary": "Open a consumer: deliveries that name it return at once when it ends. Opening it again with \
        the same settings is harmless.",
            \(body("OpenConsumer")),
            "responses": {\(answer("Open.", "ConsumerOpened", 201)), \(problem)}}},
        "/v1/queues/{name}/consumers/{id}": {
          "parameters": [\(parameter("name")), \(parameter("consumer"))],
          "get": {"operationId": "getConsumer", "tags": ["consumers"], "summary": "What a consumer has in flight.",
            "responses": {\(answer("The consumer.", "Consumer")), \(problem)}},
          "delete": {"operationId": "closeConsumer", "tags": ["consumers"],
            "summary": "End a consumer; its deliveries return at once.",
            "responses": {"200": {"description": "How many returned.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"returned": {"type": "integer"}}}}}},
              \(problem)}}},
        "/v1/queues/{name}/consumers/{id}/renew": {
          "parameters": [\(parameter("name")), \(parameter("consumer"))],
          "post": {"operationId": "renewConsumer", "tags": ["consumers"],
            "summary": "Prolong a consumer by its time to live.",
            "responses": {"200": {"description": "Prolonged.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"ttl_ms": {"type": "integer"}}}}}},
              \(problem)}}},
        "/v1/queues/{name}/consumers/{id}/resume": {
          "parameters": [\(parameter("name")), \(parameter("consumer"))],
          "post": {"operationId": "resumeConsumer", "tags": ["consumers"],
            "summary": "After a lost connection: the consumer still has these; its other deliveries return at once.",
            \(body("Resume")),
            "responses": {\(answer("What became of each.", "ConsumerResumed")), \(problem)}}}
        """
}
