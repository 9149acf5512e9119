// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Replica

/// What clients of the cache do, and how their calls travel.
extension Simulation {
    func addCacheClients() {
        for index in 0..<swarm.cache.clients {
            cacheClients.append(
                CacheClient(
                    index: index,
                    node: index % swarm.nodes,
                    random: SeededRandom(seed: cacheRandom.next()),
                    keys: checkers.cache.keys.count
                )
            )
        }
    }

    func wakeCacheClients() {
        for index in cacheClients.indices { thinkAgain(index) }
    }

    private func thinkAgain(_ index: Int) {
        let pause = cacheClients[index].random.interval(from: swarm.cache.thinkMin, to: swarm.cache.thinkMax)
        cacheClients[index].nextAct = now + pause
        queue.schedule(.cacheClient(index), at: now + pause)
    }

    /// Is due once after each answer, and when the answer has taken too long.
    func wakeCacheClient(_ index: Int) {
        guard phase != .finished else { return }
        if let call = cacheClients[index].call {
            guard now.since(cacheCalls[call].sentAt) >= cachePatience else { return }
            // Whatever was asked may or may not be done.
            return closeCacheCall(call, nil)
        }
        // A reminder of a call that was answered in time.
        guard now == cacheClients[index].nextAct else { return }
        if phase == .healing {
            let key = cacheClients[index].nextFinalRead
            if key < checkers.cache.keys.count { send(.read, key, index) }
            return
        }
        act(index)
    }

    private var cachePatience: Interval { swarm.cache.timeout + .milliseconds(700) }

    // MARK: Choosing

    private func act(_ index: Int) {
        let count = checkers.cache.keys.count
        let hot = min(count, swarm.cache.hot)
        let isHot = cacheClients[index].random.chance(4, in: 5)
        let key = Int(cacheClients[index].random.below(UInt64(isHot ? hot : count)))
        let choice = pickCacheAction(index)
        if choice == 0 { return send(.read, key, index) }
        if choice == 7 { return send(.evict, key, index) }
        send(.write(draw(choice, key, index)), key, index)
    }

    private func pickCacheAction(_ index: Int) -> Int {
        let weights = swarm.cache.workload.weights
        var rest = cacheClients[index].random.below(weights.reduce(0, +))
        for (position, weight) in weights.enumerated() {
            if rest < weight { return position }
            rest -= weight
        }
        return 0
    }

    private func draw(_ choice: Int, _ key: Int, _ index: Int) -> CacheOperation {
        let kind = checkers.cache.keys[key].kind
        if choice == 5 { return .remove(condition: .always, wantsOld: cacheClients[index].random.chance(1, in: 3)) }
        if kind == .number { return .add(Int64(cacheClients[index].random.below(5)) - 1) }
        let text = drawText(index)
        var expiry = ExpiryChange.never
        if kind == .mortal, cacheClients[index].random.chance(1, in: 2) {
            expiry = .after(Int64(100 + cacheClients[index].random.below(3_000)))
        }
        switch choice {
        case 2: return .set(value: text, expiry: expiry, condition: .absent, wantsOld: false)
        case 3:
            guard let version = cacheClients[index].seen[key] else { break }
            return .set(value: text, expiry: expiry, condition: .version(version), wantsOld: false)
        case 4: return .append(text)
        case 6: return .set(value: text, expiry: expiry, condition: .present, wantsOld: true)
        default: break
        }
        return .set(value: text, expiry: expiry, condition: .always, wantsOld: false)
    }

    /// Some are too long for the line's own room.
    private func drawText(_ index: Int) -> [UInt8] {
        cacheClients[index].texts += 1
        let name = Array("c\(index).\(cacheClients[index].texts);".utf8)
        guard cacheClients[index].random.chance(1, in: 8) else { return name }
        return name + Array(repeating: UInt8(ascii: "-"), count: Int(cacheClients[index].random.below(200)))
    }

    // MARK: There

    private func send(_ action: CacheClientCall.Action, _ key: Int, _ index: Int) {
        let node = nodes[cacheClients[index].node]
        let call = cacheCalls.count
        cacheCalls.append(CacheClientCall(client: index, node: node.index, key: key, action: action, sentAt: now))
        cacheClients[index].call = call
        queue.schedule(.cacheCall(node: node.index, life: node.life, call: call), at: now + cacheLatency())
        queue.schedule(.cacheClient(index), at: now + cachePatience)
    }

    private func cacheLatency() -> Interval { cacheRandom.interval(from: .microseconds(20), to: .microseconds(400)) }

    func arriveCacheCall(_ call: Int, at node: SimNode, _ life: UInt32) {
        guard node.isUp, node.life == life else { return answerCacheCall(call, nil) }
        post(.cacheCall(call), to: node)
    }

    /// The node takes the call in; most reads, and silent writes, end here.
    func begin(_ number: Int, _ node: SimNode, _ local: Instant) {
        guard let cache = node.cache else { return }
        let call = cacheCalls[number]
        let key = checkers.cache.keys[call.key]
        let stripe = cache.stripe(key.key)
        let deadline = local + swarm.cache.timeout
        switch call.action {
        case .read:
            if let hit = hit(key, stripe, cache, local) {
                probes.hit(.cacheHit)
                return cacheCompleted(number, hit, node, local)
            }
            step(stripe, node, local) { requestor, effects in
                let waiting = CacheCall(token: UInt64(number), kind: .read, deadline: deadline)
                requestor.read(key.key, waiting, now: local, into: &effects)
            }
        case .write(let operation):
            if let result = setSilently(key, operation, stripe, cache, local) {
                cacheCompleted(number, result, node, local)
                return checkLines(stripe.shard)
            }
            step(stripe, node, local) { requestor, effects in
                let kind = CacheCall.Kind.write(operation, key.durability, token: 0)
                let waiting = CacheCall(token: UInt64(number), kind: kind, deadline: deadline)
                requestor.write(key.key, waiting, now: local, into: &effects)
            }
        case .evict:
            step(stripe, node, local) { requestor, effects in
                guard let slot = requestor.lines.find(key.key), !requestor.isWriting(key.key) else { return }
                probes.hit(.cacheEvicted)
                requestor.evict(slot, now: local, into: &effects)
                requestor.sendHints(into: &effects)
            }
            answerCacheCall(number, nil)
        }
    }

    private func hit(
        _ key: CacheModel.Key,
        _ stripe: SimStripe,
        _ cache: SimCache,
        _ local: Instant
    ) -> CacheCallResult? {
        guard let slot = key.key.bytes.withUnsafeBytes({ stripe.requestor.hit(key.hash, $0, now: local) }) else {
            return nil
        }
        let data = LineData(
            value: stripe.requestor.lines.exists(slot) ? [UInt8](stripe.requestor.lines.value(slot)) : nil,
            version: stripe.requestor.lines.version(slot)
        )
        let state = stripe.requestor.lines.state(slot)
        stripe.requestor.lines.touch(slot, tick: cache.nextTick())
        return .read(data, state)
    }

    private func setSilently(
        _ key: CacheModel.Key,
        _ operation: CacheOperation,
        _ stripe: SimStripe,
        _ cache: SimCache,
        _ local: Instant
    ) -> CacheCallResult? {
        guard key.durability == .volatile,
            case .set(let value, .never, .always, wantsOld: false) = operation
        else { return nil }
        let tick = cache.nextTick()
        let isDone = key.key.bytes.withUnsafeBytes { bytes in
            value.withUnsafeBytes {
                stripe.requestor.setSilently(key.hash, bytes, $0, now: local, tick: tick)
            }
        }
        guard isDone, let slot = stripe.requestor.lines.find(key.key) else { return nil }
        return .written(.done, stripe.requestor.lines.version(slot))
    }

    // MARK: And back

    /// A node has an answer.
    func cacheCompleted(_ number: Int, _ result: CacheCallResult, _ node: SimNode, _ local: Instant) {
        let call = cacheCalls[number]
        trace.note(14, UInt64(number), UInt64(node.index))
        checkers.cache.told(call.operation, call.key, result)
        note(node.index, "call \(number) of \(checkers.cache.keys[call.key].key), \(call.action): \(result)")
        switch result {
        case .read(_, let state): if state != .invalid { probes.hit(.cacheFilled) }
        case .written(.notDone, _), .written(.value(_, wasApplied: false), _): probes.hit(.cacheConditionFailed)
        case .written(_, let version):
            let mayBeSilent = checkers.cache.keys[call.key].durability == .volatile
            probes.hit(mayBeSilent && version.minor > 0 ? .cacheSilentWrite : .cacheWritten)
        case .failed(.unknown): probes.hit(.cacheUnknown)
        case .failed: probes.hit(.cacheNotDone)
        }
        answerCacheCall(number, result)
    }

    private func answerCacheCall(_ number: Int, _ result: CacheCallResult?) {
        queue.schedule(.cacheAnswer(call: number, result), at: now + cacheLatency())
    }

    /// The node died: its connections are reset.
    func loseCacheCalls(on node: SimNode) {
        for client in cacheClients {
            if let call = client.call, cacheCalls[call].node == node.index { answerCacheCall(call, nil) }
        }
    }

    func cacheAnswered(_ number: Int, _ result: CacheCallResult?) {
        guard cacheCalls[number].answeredAt == nil else { return }
        closeCacheCall(number, result)
    }

    private func closeCacheCall(_ number: Int, _ result: CacheCallResult?) {
        let call = cacheCalls[number]
        let index = call.client
        cacheCalls[number].answeredAt = now
        cacheCalls[number].result = result
        cacheClients[index].call = nil
        switch result {
        case .read(let data, _):
            cacheClients[index].seen[call.key] = data.version
            if phase == .healing, call.key == cacheClients[index].nextFinalRead {
                cacheClients[index].nextFinalRead += 1
            }
        case .written(_, let version): cacheClients[index].seen[call.key] = version
        case .failed: if cacheClients[index].random.chance(1, in: 3) { moveCacheClient(index) }
        case nil: if case .evict = call.action {} else { moveCacheClient(index) }
        }
        thinkAgain(index)
    }

    private func moveCacheClient(_ index: Int) {
        cacheClients[index].node = Int(cacheClients[index].random.below(UInt64(nodes.count)))
    }

    // MARK: The end

    var isCacheAtRest: Bool {
        cacheClients.allSatisfy { $0.call == nil && $0.nextFinalRead == checkers.cache.keys.count }
            && nodes.allSatisfy { $0.condition != .running || $0.cache?.isIdle ?? true }
    }

    var whatIsMissingInCache: [String] {
        var missing: [String] = []
        for client in cacheClients {
            if let call = client.call {
                let asked = cacheCalls[call]
                missing.append(
                    "client \(client.index) of the cache waits for node \(asked.node): \(asked.action) of "
                        + "\(checkers.cache.keys[asked.key].key)"
                )
            } else if client.nextFinalRead < checkers.cache.keys.count {
                missing.append(
                    "client \(client.index) of the cache cannot read "
                        + "\(checkers.cache.keys[client.nextFinalRead].key) on node \(client.node)"
                )
            }
        }
        for node in nodes where node.condition == .running && !(node.cache?.isIdle ?? true) {
            missing.append("the cache of node \(node.index) is not idle")
        }
        return missing
    }

    func checkFinalCache() {
        guard !cacheClients.isEmpty else { return }
        let keys = checkers.cache.keys
        var history: [CacheHistoryOperation] = []
        for call in cacheCalls where checkers.cache.isKept(call.key) {
            if let entry = call.history(keys[call.key].key) { history.append(entry) }
        }
        for number in keys.indices {
            let current = checkers.witnesses[Int(keys[number].shard.rawValue)].state.cache.current(keys[number].key)
            checkers.cache.checkMemory(number, current, &violations)
            // As if somebody read the memory itself. What has expired may not be removed yet.
            guard checkers.cache.isKept(number), keys[number].kind != .mortal, let current else { continue }
            history.append(
                CacheHistoryOperation(
                    client: cacheClients.count,
                    key: keys[number].key,
                    action: .read,
                    invokedAt: now.nanoseconds + 1,
                    returnedAt: now.nanoseconds + 2,
                    outcome: .value(current.value),
                    version: current.version
                )
            )
        }
        checkers.cache.checkHistory(history, &violations)
    }
}
