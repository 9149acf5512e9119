// SPDX-License-Identifier: Apache-2.0

/// The OpenAPI 3.1 description of the HTTP front end, served at `/openapi.json`. Written by hand; a test holds it
/// against the route table in both directions.
enum OpenAPIDocument {
    static let text = """
        {"openapi": "3.1.0",
        "info": {"title": "Syncline", "version": "1", "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
          "description": "Locks, semaphores, leader elections, queues and a coherent cache agreed by Raft. \
        Any node answers any request. Times are milliseconds. \
        Every error is a problem document (RFC 9457) with a stable code and an outcome: \
        not_done, partly_done or unknown."},
        "tags": [{"name": "sessions"}, {"name": "locks"}, {"name": "semaphores"}, {"name": "elections"}, \
        {"name": "queues"}, {"name": "messages"}, {"name": "consumers"}, {"name": "cache"}, \
        {"name": "cluster"}, {"name": "node"}],
        "paths": {
        \(sessionPaths),
        \(lockPaths),
        \(otherPaths),
        \(queuePaths),
        \(messagePaths),
        \(consumerPaths),
        \(cachePaths),
        \(clusterPaths),
        \(nodePaths)
        },
        "components": {
        \(parameters),
        \(responses),
        \(schemas)
        }}

        """

    static let json = "\"application/json\""

    static let problem = "\"default\": " + response("Problem")

    static func ref(_ schema: String) -> String { "{\"$ref\": \"#/components/schemas/\(schema)\"}" }

    static func parameter(_ name: String) -> String { "{\"$ref\": \"#/components/parameters/\(name)\"}" }

    static func response(_ name: String) -> String { "{\"$ref\": \"#/components/responses/\(name)\"}" }
}
