// SPDX-License-Identifier: Apache-2.0

extension OpenAPIDocument {
    static let sessionPaths = """
        "/v1/sessions": {
          "post": {"operationId": "openSession", "tags": ["sessions"],
            "summary": "Open a session, the owner of locks. With an id of your own a retry is harmless.",
            "requestBody": {"content": {\(json): {"schema": \(ref("OpenSession"))}}},
            "responses": {"201": {"description": "Open.", "content": {\(json): {"schema":
              \(ref("SessionOpened"))}}}, \(problem)}},
          "get": {"operationId": "listSessions", "tags": ["sessions"],
            "summary": "The sessions of a namespace, page by page.",
            "parameters": [\(parameter("namespace")), \(parameter("cursor")),
              \(parameter("limit"))],
            "responses": {"200": {"description": "A page.", "content": {\(json): {"schema":
              \(ref("SessionPage"))}}}, \(problem)}}},
        "/v1/sessions/{id}": {
          "parameters": [\(parameter("id"))],
          "get": {"operationId": "getSession", "tags": ["sessions"],
            "summary": "What a session is, holds and waits for.",
            "responses": {"200": {"description": "The session.", "content": {\(json): {"schema":
              \(ref("Session"))}}}, \(problem)}},
          "delete": {"operationId": "closeSession", "tags": ["sessions"],
            "summary": "Close a session; releases its locks.",
            "responses": {"200": {"description": "Closed.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"locks_released": {"type": "integer"}}}}}},
              \(problem)}}},
        "/v1/sessions/{id}/renew": {
          "parameters": [\(parameter("id"))],
          "post": {"operationId": "renewSession", "tags": ["sessions"],
            "summary": "Prolong a session by its time to live.",
            "responses": {"200": {"description": "Prolonged.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"ttl_ms": {"type": "integer"}}}}}},
              \(problem)}}}
        """

    static let lockPaths = """
        "/v1/locks": {
          "get": {"operationId": "listLocks", "tags": ["locks"], "summary": "The locks of a namespace, page by page.",
            "parameters": [\(parameter("namespace")), \(parameter("prefix")),
              \(parameter("cursor")), \(parameter("limit"))],
            "responses": {"200": {"description": "A page.", "content": {\(json): {"schema":
              \(ref("LockPage"))}}}, \(problem)}}},
        "/v1/locks/acquire-all": {
          "post": {"operationId": "acquireLocks", "tags": ["locks"], "summary": "Acquire several locks, all or none.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("AcquireAll"))}}},
            "responses": {"200": {"description": "All granted.", "content": {\(json): {"schema":
              \(ref("GrantedAll"))}}}, "409": \(response("NotAcquired")),
              \(problem)}}},
        "/v1/locks/{name}": {
          "parameters": [\(parameter("name"))],
          "get": {"operationId": "getLock", "tags": ["locks"], "summary": "Who holds it and who waits for it.",
            "parameters": [\(parameter("namespace"))],
            "responses": {"200": {"description": "The lock.", "content": {\(json): {"schema":
              \(ref("Object"))}}}, \(problem)}}},
        "/v1/locks/{name}/check": {
          "parameters": [\(parameter("name"))],
          "get": {"operationId": "checkLock", "tags": ["locks"], "summary": "Is this token a current holder's?",
            "parameters": [{"name": "token", "in": "query", "required": true, "schema": {"type": "integer"}},
              \(parameter("namespace"))],
            "responses": {"200": {"description": "The answer.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"current": {"type": "boolean"}}}}}},
              \(problem)}}},
        "/v1/locks/{name}/acquire": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "acquireLock", "tags": ["locks"],
            "summary": "Acquire a lock; answers its fencing token.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Acquire"))}}},
            "responses": {"200": {"description": "Granted.", "content": {\(json): {"schema":
              \(ref("Granted"))}}}, "409": \(response("NotAcquired")),
              \(problem)}}},
        "/v1/locks/{name}/convert": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "convertLock", "tags": ["locks"], "summary": "Change the mode of a held lock.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Convert"))}}},
            "responses": {"200": {"description": "Converted.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"token": {"type": "integer"}, "mode": \(ref("Mode"))}}}}},
              "409": \(response("NotAcquired")), \(problem)}}},
        "/v1/locks/{name}/release": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "releaseLock", "tags": ["locks"], "summary": "Release a lock once.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Release"))}}},
            "responses": {"200": {"description": "Released; the holds left.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"holds": {"type": "integer"}}}}}},
              \(problem)}}},
        "/v1/locks/{name}/break": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "breakLock", "tags": ["locks"],
            "summary": "Take a lock from its holders, for a reason.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Break"))}}},
            "responses": {"200": {"description": "Broken.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"holders_removed": {"type": "integer"}}}}}},
              \(problem)}}}
        """

    static let otherPaths = """
        "/v1/semaphores/{name}": {
          "parameters": [\(parameter("name"))],
          "get": {"operationId": "getSemaphore", "tags": ["semaphores"], "summary": "Its size, holders and waiters.",
            "parameters": [\(parameter("namespace"))],
            "responses": {"200": {"description": "The semaphore.", "content": {\(json): {"schema":
              \(ref("Object"))}}}, \(problem)}}},
        "/v1/semaphores/{name}/acquire": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "acquireSemaphore", "tags": ["semaphores"], "summary": "Take permits.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("AcquirePermits"))}}},
            "responses": {"200": {"description": "Granted; the permits held now.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"token": {"type": "integer"}, "permits": {"type": "integer"}}}}}},
              "409": \(response("NotAcquired")), \(problem)}}},
        "/v1/semaphores/{name}/release": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "releaseSemaphore", "tags": ["semaphores"], "summary": "Give permits back.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("ReleasePermits"))}}},
            "responses": {"200": {"description": "Released; the permits left.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"permits": {"type": "integer"}}}}}},
              \(problem)}}},
        "/v1/elections/{name}": {
          "parameters": [\(parameter("name"))],
          "get": {"operationId": "getElection", "tags": ["elections"], "summary": "The leader and what it announced.",
            "parameters": [\(parameter("namespace"))],
            "responses": {"200": {"description": "The leader.", "content": {\(json): {"schema":
              \(ref("Leader"))}}}, \(problem)}}},
        "/v1/elections/{name}/campaign": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "campaign", "tags": ["elections"], "summary": "Stand for leader.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Campaign"))}}},
            "responses": {"200": {"description": "Elected.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"token": {"type": "integer"}}}}}},
              "409": \(response("NotAcquired")), \(problem)}}},
        "/v1/elections/{name}/resign": {
          "parameters": [\(parameter("name"))],
          "post": {"operationId": "resign", "tags": ["elections"], "summary": "Give up leadership.",
            "requestBody": {"required": true, "content": {\(json): {"schema":
              \(ref("Release"))}}},
            "responses": {"200": {"description": "Resigned.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"holds": {"type": "integer"}}}}}},
              \(problem)}}}
        """

    static let clusterPaths = """
        "/v1/cluster": {
          "get": {"operationId": "getCluster", "tags": ["cluster"],
            "summary": "The cluster's nodes as this one sees them.",
            "responses": {"200": {"description": "The cluster.", "content": {\(json): {"schema":
              \(ref("Cluster"))}}}, \(problem)}}},
        "/v1/cluster/shards": {
          "get": {"operationId": "getShards", "tags": ["cluster"], "summary": "The shards, their leaders and logs.",
            "responses": {"200": {"description": "The shards.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"shards": {"type": "array", "items":
                \(ref("Shard"))}}}}}}, \(problem)}}},
        "/v1/cluster/transfer": {
          "post": {"operationId": "transferLeadership", "tags": ["cluster"],
            "summary": "Hand over the leadership of one shard, or of all that this node leads.",
            "requestBody": {"content": {\(json): {"schema": \(ref("Transfer"))}}},
            "responses": {"202": {"description": "Begun, for these shards.", "content": {\(json): {"schema":
              {"type": "object", "properties": {"shards": {"type": "array", "items": {"type": "integer"}}}}}}},
              \(problem)}}},
        "/v1/events": {
          "get": {"operationId": "watchEvents", "tags": ["cluster"],
            "summary": "Server-sent events: lock, session, leadership, membership, cache.",
            "parameters": [\(parameter("namespace")),
              {"name": "name", "in": "query", "description": "Only this lock's events.", "schema": {"type": "string"}}],
            "responses": {"200": {"description": "A stream that does not end.", "content": {"text/event-stream": {}}},
              \(problem)}}}
        """

    static let nodePaths = """
        "/livez": {"get": {"operationId": "livez", "tags": ["node"],
            "summary": "The process lives; never asks for quorum.",
          "responses": {"200": {"description": "Alive.", "content": {"text/plain": {}}}}}},
        "/readyz": {"get": {"operationId": "readyz", "tags": ["node"], "summary": "Caught up, leaders known.",
          "responses": {"200": {"description": "Ready.", "content": {"text/plain": {}}},
            "503": \(response("Problem"))}}},
        "/health": {"get": {"operationId": "health", "tags": ["node"], "summary": "A summary for people.",
          "responses": {"200": {"description": "The summary.", "content": {"application/json": {}}}}}},
        "/status": {"get": {"operationId": "status", "tags": ["node"],
            "summary": "Everything this node knows of itself.",
          "responses": {"200": {"description": "The status.", "content": {"application/json": {}}}}}},
        "/metrics": {"get": {"operationId": "metrics", "tags": ["node"], "summary": "Prometheus metrics.",
          "responses": {"200": {"description": "The metrics.", "content": {"text/plain": {}}}}}},
        "/version": {"get": {"operationId": "version", "tags": ["node"], "summary": "Name and version.",
          "responses": {"200": {"description": "The version.", "content": {"application/json": {}}}}}},
        "/openapi.json": {"get": {"operationId": "openapi", "tags": ["node"], "summary": "This document.",
          "responses": {"200": {"description": "The document.", "content": {"application/json": {}}}}}},
        "/": {"get": {"operationId": "index", "tags": ["node"], "summary": "A page that lists the routes.",
          "responses": {"200": {"description": "The page.", "content": {"text/html": {}}}}}}
        """
}
