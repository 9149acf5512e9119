// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import QueueCore
import Replica

/// An HTTP error as an RFC 9457 problem document with a stable `code`.
struct Problem: Error, Equatable, Sendable {
    var status: Int
    var code: String
    var title: String
    var detail: String
    /// What became of the request: `not_done`, `partly_done` or `unknown`.
    var outcome = "not_done"
    var members: [JSONValue.Member] = []
    /// Methods to name in `Allow` (405).
    var allow: [String] = []
    var retryAfterSeconds: Int?
    /// The connection's framing or the rest of the body cannot be trusted.
    var closesConnection = false

    init(_ status: Int, _ code: String, _ title: String, _ detail: String) {
        self.status = status
        self.code = code
        self.title = title
        self.detail = detail
    }

    init(_ bad: BadRequest) {
        self.init(400, "bad_request", "Bad request", bad.message(.http))
    }

    /// Nil when the answer is not an error.
    init?(_ response: Response) {
        if case .lock(.notAcquired(let holders)) = response {
            self.init(
                409,
                "held",
                "Not acquired",
                "it was not to be had in the time given; the holders are listed"
            )
            members = [JSONValue.Member("holders", .array(holders.map(JSONViews.holder)))]
            return
        }
        guard let refusal = RefusalText(response) else { return nil }
        self.init(refusal)
        switch response {
        case .lock(.refused(.deadlock(let cycle))):
            members = [JSONValue.Member("cycle", .array(cycle.map(JSONViews.edge)))]
        case .queue(let answer):
            if case .refused(.exists(let settings)) = answer.response {
                members = [JSONValue.Member("settings", JSONViews.settings(settings))]
            }
        case .unavailable(.unknown, _): outcome = "unknown"
        case .unavailable, .busy: retryAfterSeconds = 1
        default: break
        }
    }

    init(cache refusal: RefusalText) {
        self.init(refusal)
        switch code {
        case "unknown": outcome = "unknown"
        case "partly_done": outcome = "partly_done"
        case "unavailable", "backend_down": retryAfterSeconds = 1
        default: break
        }
    }

    init(refused refusal: QueueError) { self.init(RefusalText(refusal)) }

    private init(_ text: RefusalText) {
        let (status, title) = Self.statuses[text.code] ?? (409, "Refused")
        self.init(status, text.code, title, text.detail)
        if code == "busy" { retryAfterSeconds = 1 }
    }

    private static let statuses: [String: (Int, String)] = [
        "no_session": (404, "No such session"), "session_exists": (409, "Session exists"),
        "not_held": (409, "Not held"), "reentry": (409, "Asked for twice"), "deadlock": (409, "Deadlock"),
        "limit": (429, "Limit reached"), "wrong_kind": (409, "Another kind of object"), "invalid": (400, "Bad request"),
        "cancelled": (409, "Cancelled"), "session_ended": (410, "Session ended"), "stale_seq": (409, "Stale sequence"),
        "no_queue": (404, "No such queue"), "exists": (409, "Queue exists"), "too_large": (413, "Too large"),
        "full": (409, "Queue full"), "paused": (409, "Paused"), "fenced": (409, "Fenced"),
        "no_consumer": (404, "No such consumer"), "consumer_exists": (409, "Consumer exists"),
        "no_credit": (429, "No credit"), "ended": (410, "Ended"),
        "oom": (507, "Out of memory"), "backend_down": (503, "Memory unreachable"),
        "unavailable": (503, "Unavailable"), "unknown": (504, "Outcome unknown"), "partly_done": (503, "Done in part"),
        "busy": (503, "Busy"),
    ]

    func retrying(afterSeconds seconds: Int) -> Problem {
        var problem = self
        problem.retryAfterSeconds = seconds
        return problem
    }

    /// An answer that does not fit its question: the request may have been carried out.
    static var unanswered: Problem {
        var problem = Problem(504, "unknown", "Outcome unknown", "the answer does not fit the request")
        problem.outcome = "unknown"
        return problem
    }

    /// The rest of the body is not read, so the connection closes.
    static func tooLarge(_ limit: Int) -> Problem {
        var problem = Problem(413, "too_large", "Too large", "a body may have \(limit) bytes")
        problem.closesConnection = true
        return problem
    }

    static var badPath: Problem {
        Problem(400, "bad_request", "Bad request", "the path is not percent-encoded UTF-8")
    }

    /// `//`, or a key of no bytes: what the path names would be something else without it.
    static var emptyPart: Problem {
        Problem(
            400,
            "bad_request",
            "Bad request",
            "the path has an empty part; a name or key has at least one byte, and a slash in one is written %2F"
        )
    }

    static func notFound(_ what: String) -> Problem { Problem(404, "not_found", "Not found", what) }

    var json: JSONValue {
        .object(
            [
                JSONValue.Member("type", .string("https://syncline.dev/problems/\(code.replacing("_", with: "-"))")),
                JSONValue.Member("title", .string(title)), JSONValue.Member("status", .number(status)),
                JSONValue.Member("detail", .string(detail)), JSONValue.Member("code", .string(code)),
                JSONValue.Member("outcome", .string(outcome)),
            ] + members
        )
    }
}
