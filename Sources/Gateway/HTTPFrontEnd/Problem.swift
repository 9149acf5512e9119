// SPDX-License-Identifier: Apache-2.0
import LockCore
import NIOCore
import Primitives
import Replica

/// An HTTP error as an RFC 9457 problem document with a stable `code`.
struct Problem: Error, Equatable, Sendable {
    var status: Int
    var code: String
    var title: String
    var detail: String
    /// What became of the request: `not_done` or `unknown`.
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
        let (status, title) = Self.statuses[refusal.code] ?? (409, "Refused")
        self.init(status, refusal.code, title, refusal.detail)
        switch response {
        case .lock(.refused(.deadlock(let cycle))):
            members = [JSONValue.Member("cycle", .array(cycle.map(JSONViews.edge)))]
        case .unavailable(.unknown, _): outcome = "unknown"
        case .unavailable, .busy: retryAfterSeconds = 1
        default: break
        }
    }

    private static let statuses: [String: (Int, String)] = [
        "no_session": (404, "No such session"), "session_exists": (409, "Session exists"),
        "not_held": (409, "Not held"), "reentry": (409, "Asked for twice"), "deadlock": (409, "Deadlock"),
        "limit": (429, "Limit reached"), "wrong_kind": (409, "Another kind of object"), "invalid": (400, "Bad request"),
        "cancelled": (409, "Cancelled"), "session_ended": (410, "Session ended"), "stale_seq": (409, "Stale sequence"),
        "unavailable": (503, "Unavailable"), "unknown": (504, "Outcome unknown"), "busy": (503, "Busy"),
    ]

    func retrying(afterSeconds seconds: Int) -> Problem {
        var problem = self
        problem.retryAfterSeconds = seconds
        return problem
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
