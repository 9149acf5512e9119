// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives

/// A lock event as front ends tell it.
struct EventText: Equatable, Sendable {
    /// `lock` or `session`.
    var kind: String
    var event: String
    var namespace: String
    var name: String?
    var session: String?
    var mode: String?
    var token: UInt64?
    var reason: String?

    init(_ event: LockEvent) {
        switch event {
        case .granted(let namespace, let name, let session, let mode, let token):
            self.init("granted", namespace.text, name.text, session.name.text, mode.text, token)
        case .released(let namespace, let name, let session):
            self.init("released", namespace.text, name.text, session.name.text)
        case .queued(let namespace, let name, let session, let mode):
            self.init("queued", namespace.text, name.text, session.name.text, mode.text)
        case .broken(let namespace, let name, let reason):
            self.init("broken", namespace.text, name.text, reason: reason)
        case .deadlock(let namespace, let cycle, let victim):
            let edge = cycle.first { $0.request == victim }
            self.init(
                "deadlock",
                namespace.text,
                edge?.name.text,
                edge?.session.name.text,
                edge?.mode.text,
                reason: RefusalText.cycle(cycle)
            )
        case .sessionOpened(let session):
            self.init("opened", session.namespace.text, nil, session.name.text)
            kind = "session"
        case .sessionEnded(let session, let end):
            self.init(end.text, session.namespace.text, nil, session.name.text)
            kind = "session"
        }
    }

    private init(
        _ event: String,
        _ namespace: String,
        _ name: String?,
        _ session: String? = nil,
        _ mode: String? = nil,
        _ token: UInt64? = nil,
        reason: String? = nil
    ) {
        kind = "lock"
        self.event = event
        self.namespace = namespace
        self.name = name
        self.session = session
        self.mode = mode
        self.token = token
        self.reason = reason
    }
}
