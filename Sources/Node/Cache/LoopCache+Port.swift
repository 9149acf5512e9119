// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Gateway
import LockCore
import Primitives
import RaftCore
import Replica
import Synchronization
import Telemetry

/// What the front ends ask of the cache.
extension LoopCache: CachePort {
    func withHit(_ key: UnsafeRawBufferPointer, _ body: (CacheHit) -> Void) -> Bool {
        let hash = CacheKey.hash(of: key)
        let now = NodeClock.now()
        let tick = cache.nextTick()
        let isHit = cache.stripe(hash).requestor.withLock { requestor in
            guard let slot = requestor.hit(hash, key, now: now) else { return false }
            let end = requestor.lines.expiresAt(slot)
            body(
                CacheHit(
                    value: requestor.lines.value(slot),
                    exists: requestor.lines.exists(slot),
                    version: requestor.lines.version(slot),
                    state: requestor.lines.state(slot),
                    remaining: end == 0 ? nil : (end &- now.nanoseconds) / 1_000_000
                )
            )
            requestor.lines.touch(slot, tick: tick)
            return true
        }
        if isHit { counts.hits += 1 }
        return isHit
    }

    func setHit(
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        _ durability: CacheDurability?
    ) -> Bool {
        let mode = cache.durability(durability, of: key)
        guard mode == .volatile else { return false }
        let hash = CacheKey.hash(of: key)
        let now = NodeClock.now()
        let tick = cache.nextTick()
        let isDone = cache.stripe(hash).requestor.withLock { requestor in
            requestor.setSilently(hash, key, value, now: now, tick: tick)
        }
        guard isDone else { return false }
        counts.writes += 1
        counts.ownedWrites += 1
        if cache.trackers.load(ordering: .relaxed) > 0 { tellOfWrite(CacheKey(Array(key))) }
        return true
    }

    func read(_ key: CacheKey, _ options: CacheReadOptions, completion: @escaping (CacheReadResult) -> Void) {
        // Not only GET comes here: the line may be there, and this is then a hit like any other.
        if let read = held(key) { return completion(.found(read)) }
        let shard = CacheKey.shard(hash: key.hash, count: cache.stripes.count)
        counts.misses += 1
        let begun = NodeClock.now()
        call(key, shard, .read, options.timeout) { result in
            self.loop.context.metrics.cache.fillTime.observe(NodeClock.now().since(begun).nanoseconds)
            switch result {
            case .read(let data, let state):
                completion(.found(CacheRead(data, state)))
            case .failed(let failure):
                if options.allowsStale { return self.readStale(key, shard, failure, completion) }
                completion(.failed(CacheFailure(failure)))
            case .written: invariantFailure("a read was answered as a write")
            }
        }
    }

    /// From this node's replica of the memory, marked as what it is.
    private func readStale(
        _ key: CacheKey,
        _ shard: ShardID,
        _ failure: CacheCallFailure,
        _ completion: @escaping (CacheReadResult) -> Void
    ) {
        guard let current = loop.hosted[Int(shard.rawValue)]?.replica.state.cache.current(key) else {
            return completion(.failed(CacheFailure(failure)))
        }
        counts.staleReads += 1
        let data = LineData(value: current.value, version: current.version)
        var read = CacheRead(data, .invalid)
        read.isStale = true
        completion(.found(read))
    }

    func write(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ options: CacheWriteOptions,
        completion: @escaping (CacheWriteResult) -> Void
    ) {
        if let refusal = operation.validate(key: key) {
            return completion(.answered(.refused(refusal), version: .zero))
        }
        guard let lock = options.lock else { return write(key, operation, options, token: 0, completion) }
        // The front end's check is of the lock; the key itself remembers the highest token it was written with.
        let check = LockQuery.check(namespace: lock.namespace, name: lock.name, token: lock.token)
        loop.submit(.query(check, .readIndex), timeout: options.timeout) { response in
            switch response {
            case .lock(.check(true)): self.write(key, operation, options, token: lock.token, completion)
            case .lock(.check(false)): completion(.answered(.refused(.fenced), version: .zero))
            case .busy(let reason): completion(.failed(.busy(reason: reason)))
            case .unavailable(_, let reason): completion(.failed(.unavailable(reason: reason)))
            default: completion(.failed(.unavailable(reason: "the lock's shard did not answer")))
            }
        }
    }

    private func write(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ options: CacheWriteOptions,
        token: UInt64,
        _ completion: @escaping (CacheWriteResult) -> Void
    ) {
        let shard = CacheKey.shard(hash: key.hash, count: cache.stripes.count)
        let durability = cache.durability(options.durability, of: key.bytes)
        counts.writes += 1
        let begun = NodeClock.now()
        let deadline = begun + (options.timeout ?? loop.router.configuration.requestTimeout)
        // With the cluster as memory, what is committed is in the memory.
        let mustBeStored = durability == .through && loop.memory != nil
        call(key, shard, .write(operation, durability, token: token), options.timeout) { result in
            self.loop.context.metrics.cache.writeTime.observe(NodeClock.now().since(begun).nanoseconds)
            switch result {
            case .written(let answer, let version):
                guard mustBeStored, answer.mayHaveChanged else {
                    return completion(.answered(answer, version: version))
                }
                self.awaitStore(key, shard, answer, version, deadline, completion)
            case .failed(let failure): completion(.failed(CacheFailure(failure)))
            case .read: invariantFailure("a write was answered as a read")
            }
        }
    }

    /// Mode `through`: the write is committed, and is answered when Redis has it too.
    private func awaitStore(
        _ key: CacheKey,
        _ shard: ShardID,
        _ answer: CacheAnswer,
        _ version: CacheVersion,
        _ deadline: Instant,
        _ completion: @escaping (CacheWriteResult) -> Void
    ) {
        let left = max(deadline.since(NodeClock.now()), .milliseconds(1))
        loop.submit(.cache(.stored(key, version)), to: shard, timeout: left) { response in
            if case .cache(.done) = response { return completion(.answered(answer, version: version)) }
            let reason = "the write is committed in the cluster, and Redis has not confirmed it in time"
            completion(.failed(.unknown(reason: reason)))
        }
    }

    /// To the requestor, on the shard's loop.
    private func call(
        _ key: CacheKey,
        _ shard: ShardID,
        _ kind: CacheCall.Kind,
        _ timeout: Interval?,
        _ completion: @escaping (CacheCallResult) -> Void
    ) {
        let token = callers.insert(completion)
        let deadline = NodeClock.now() + (timeout ?? loop.router.configuration.requestTimeout)
        let owner = owner(shard)
        guard owner !== loop else { return begin(key, shard, CacheCall(token: token, kind: kind, deadline: deadline)) }
        let home = loop
        owner.post(
            .perform { loop in
                guard let cache = loop.cache else { return }
                let remote = cache.callers.insert { result in
                    home.post(.perform { $0.cache?.callers.remove(token)?(result) })
                }
                cache.begin(key, shard, CacheCall(token: remote, kind: kind, deadline: deadline))
            }
        )
    }

    private func begin(_ key: CacheKey, _ shard: ShardID, _ call: CacheCall) {
        let now = NodeClock.now()
        step(cache.stripes[Int(shard.rawValue)]) { requestor, effects in
            switch call.kind {
            case .read: requestor.read(key, call, now: now, into: &effects)
            case .write: requestor.write(key, call, now: now, into: &effects)
            }
        }
    }

    // MARK: Copies that clients keep

    func track(_ key: CacheKey, _ tracker: any CacheTracker) {
        counted { $0.track(key, tracker) }
    }

    func trackPrefix(_ prefix: [UInt8], _ tracker: any CacheTracker) {
        counted { $0.trackPrefix(prefix, tracker) }
    }

    func untrack(_ tracker: any CacheTracker) {
        counted { $0.untrack(tracker) }
    }

    private func counted(_ change: (inout TrackerTable) -> Void) {
        let before = tracking.trackerCount
        change(&tracking)
        cache.trackers.wrappingAdd(tracking.trackerCount - before, ordering: .relaxed)
    }
}

extension CacheAnswer {
    /// False: certainly nothing was changed.
    fileprivate var mayHaveChanged: Bool {
        switch self {
        case .notDone, .refused: false
        case .value(_, let wasApplied): wasApplied
        case .done, .count, .number: true
        }
    }
}

extension CacheRead {
    init(_ data: LineData, _ state: LineState) {
        self.init(value: data.value, version: data.version, remaining: data.remaining, state: state)
    }
}

extension CacheFailure {
    init(_ failure: CacheCallFailure) {
        switch failure {
        case .busy(let reason): self = .busy(reason: reason)
        case .unavailable(let reason): self = .unavailable(reason: reason)
        case .memoryDown(let reason): self = .memoryDown(reason: reason)
        case .unknown(let reason): self = .unknown(reason: reason)
        }
    }

    init(_ response: Response) {
        switch response {
        case .busy(let reason): self = .busy(reason: reason)
        case .unavailable(.notDone, let reason): self = .unavailable(reason: reason)
        case .unavailable(.unknown, let reason): self = .unknown(reason: reason)
        case .lock, .queue, .cache: self = .unavailable(reason: "an answer of another service arrived")
        }
    }
}
