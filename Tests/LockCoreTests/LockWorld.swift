// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives

/// A lock state with its log position: commands go in one after the other, as from a log. After each one the invariants
/// are checked, and the snapshot is read back and compared.
struct LockWorld {
    var state: LockState
    /// Index of the last command; also the number of its request and the token of its grants.
    var index: UInt64 = 0
    var term = Term(1)
    var stamp: UInt64 = 1_000
    var checksSnapshots = true

    init(limits: LockLimits = LockLimits()) { state = LockState(limits: limits) }

    static func request(_ number: UInt64) -> RequestID { RequestID(origin: 1, number: number) }

    /// Applies a command as the next entry; its request has the entry's number.
    @discardableResult
    mutating func apply(_ command: LockCommand, isInternal: Bool = false) -> LockEffects {
        index += 1
        let request = isInternal ? RequestID.internal : Self.request(index)
        var effects = LockEffects()
        let context = ApplyContext(index: LogIndex(index), term: term, stamp: stamp, request: request)
        state.apply(command, context, into: &effects)
        state.checkInvariants()
        if checksSnapshots { checkSnapshot() }
        return effects
    }

    /// Applies a command and returns its own answer, nil when it waits.
    @discardableResult
    mutating func answer(_ command: LockCommand) -> LockResponse? {
        let effects = apply(command)
        return effects.responses.first { $0.request == Self.request(index) }?.response
    }

    func encoded() -> [UInt8] {
        var writer = ByteWriter()
        state.encode(into: &writer)
        return writer.bytes
    }

    func checkSnapshot() {
        let bytes = encoded()
        var reader = ByteReader(bytes)
        guard let copy = try? LockState(decoding: &reader, limits: state.limits), reader.isAtEnd else {
            invariantFailure("a snapshot does not decode")
        }
        var writer = ByteWriter()
        copy.encode(into: &writer)
        invariant(writer.bytes == bytes && copy.digest == state.digest, "a snapshot changes on its way")
        copy.checkInvariants()
    }

    mutating func restart() {
        let bytes = encoded()
        var reader = ByteReader(bytes)
        if let copy = try? LockState(decoding: &reader, limits: state.limits) { state = copy }
    }
}

extension LockWorld {
    @discardableResult
    mutating func open(
        _ session: String,
        owner: String = "",
        label: String = "",
        ttl: UInt64 = 10_000,
        delay: UInt64 = 0
    ) -> LockResponse? {
        answer(
            .openSession(
                OpenSession(
                    id: SessionID(session),
                    ttlMilliseconds: ttl,
                    label: label,
                    owner: owner,
                    lockDelayMilliseconds: delay
                )
            )
        )
    }

    @discardableResult
    mutating func acquire(
        _ session: String,
        _ name: String,
        _ mode: LockMode = .exclusive,
        wait: Wait = .none,
        priority: Int64 = 0,
        sequence: UInt64? = nil
    ) -> LockResponse? {
        answer(
            .acquire(
                Acquire(
                    session: SessionID(session),
                    items: [AcquireItem(name: Name(name), mode: mode)],
                    wait: wait,
                    priority: priority,
                    sequence: sequence
                )
            )
        )
    }

    @discardableResult
    mutating func acquireAll(
        _ session: String,
        _ names: [String],
        _ mode: LockMode = .exclusive,
        wait: Wait = .none
    ) -> LockResponse? {
        answer(
            .acquire(
                Acquire(
                    session: SessionID(session),
                    items: names.map { AcquireItem(name: Name($0), mode: mode) },
                    wait: wait
                )
            )
        )
    }

    @discardableResult
    mutating func permits(
        _ session: String,
        _ name: String,
        _ permits: UInt64 = 1,
        of limit: UInt64,
        wait: Wait = .none
    ) -> LockResponse? {
        answer(
            .acquire(
                Acquire(
                    session: SessionID(session),
                    kind: .semaphore,
                    items: [AcquireItem(name: Name(name), mode: .shared)],
                    wait: wait,
                    permits: permits,
                    limit: limit
                )
            )
        )
    }

    @discardableResult
    mutating func convert(
        _ session: String,
        _ name: String,
        _ mode: LockMode,
        wait: Wait = .none
    ) -> LockResponse? {
        answer(.convert(Convert(session: SessionID(session), name: Name(name), mode: mode, wait: wait)))
    }

    @discardableResult
    mutating func release(
        _ session: String,
        _ name: String,
        kind: ObjectKind = .lock,
        permits: UInt64 = 1,
        sequence: UInt64? = nil
    ) -> LockResponse? {
        answer(
            .release(
                Release(
                    session: SessionID(session),
                    kind: kind,
                    name: Name(name),
                    permits: permits,
                    sequence: sequence
                )
            )
        )
    }

    func view(_ name: String, namespace: Name = .defaultNamespace) -> ObjectView? {
        guard case .object(let view) = state.query(.object(namespace: namespace, name: Name(name)), stamp: stamp) else {
            return nil
        }
        return view
    }

    func holders(_ name: String) -> [String] { view(name)?.holders.map { $0.session.name.text } ?? [] }

    func waiters(_ name: String) -> [String] { view(name)?.waiters.map { $0.session.name.text } ?? [] }
}

extension LockResponse {
    /// The token of a grant or conversion; nil for any other answer.
    var token: UInt64? {
        switch self {
        case .granted(let tokens, _): tokens.first
        case .converted(let token): token
        default: nil
        }
    }

    var cycle: [CycleEdge]? {
        if case .refused(.deadlock(let cycle)) = self { cycle } else { nil }
    }
}
