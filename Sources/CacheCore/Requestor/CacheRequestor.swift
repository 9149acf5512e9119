// SPDX-License-Identifier: Apache-2.0
package import Primitives

/// One node's side of one shard's lines (docs/CACHE.md): its table of lines, what it waits for, and how it answers the
/// home. A hit needs no message; everything else goes through the home, one transaction per line at a time.
package struct CacheRequestor: ~Copyable {
    package let configuration: RequestorConfiguration
    package var lines: LineTable
    package internal(set) var statistics = RequestorStatistics()

    /// Who this node is to the others; nil while it is no member.
    package internal(set) var member: CacheMember?
    /// No hit from here on.
    package internal(set) var leaseEnd = Instant.zero
    package internal(set) var view = CacheView()
    /// The reign whose lines these are, and where its home is.
    package internal(set) var epoch = CacheEpoch.none
    package internal(set) var home: NodeID?

    var transactions = LookupTable<CacheKey, LineTransaction>()
    /// The keys of all transactions, oldest first.
    var open = OrderedMap<UInt64, CacheKey>()
    var nextTransaction: UInt64 = 1
    var nextRead: UInt64 = 1
    var nextWrite: UInt64 = 1
    /// Numbers of writes without an answer.
    var writesOpen = OrderedMap<UInt64, CacheKey>()
    /// Written back and not confirmed, for repetition.
    var flushes = OrderedMap<UInt64, Flush>()
    var hints: [(CacheKey, UInt64)] = []
    package internal(set) var callCount = 0
    /// Uses of lines, counted over the node; the caller keeps it.
    package var tick: UInt64 = 0

    struct Flush: Sendable {
        var key: CacheKey
        var version: CacheVersion
        /// When the first of what it carries was written, as `dirtySince` of a line.
        var since: UInt32
        var resendAt: Instant
    }

    package init(configuration: RequestorConfiguration) {
        self.configuration = configuration
        lines = LineTable(policy: configuration.policy)
    }

    /// For the exhaustive exploration of small worlds.
    package borrowing func clone() -> CacheRequestor { CacheRequestor(copying: self) }

    private init(copying other: borrowing CacheRequestor) {
        configuration = other.configuration
        lines = other.lines.clone()
        statistics = other.statistics
        member = other.member
        leaseEnd = other.leaseEnd
        view = other.view
        epoch = other.epoch
        home = other.home
        transactions = other.transactions
        open = other.open
        nextTransaction = other.nextTransaction
        nextRead = other.nextRead
        nextWrite = other.nextWrite
        writesOpen = other.writesOpen
        flushes = other.flushes
        hints = other.hints
        callCount = other.callCount
        tick = other.tick
    }

    // MARK: Reading

    /// The line that a read of the key may be answered from now, without anybody being asked.
    package func hit(_ hash: UInt64, _ key: UnsafeRawBufferPointer, now: Instant) -> LineSlot? {
        guard now < leaseEnd || leavesOut(.hitWithoutLease), let slot = lines.find(hash, key) else { return nil }
        let end = lines.expiresAt(slot)
        return end == 0 || now.nanoseconds < end ? slot : nil
    }

    func hit(_ key: CacheKey, _ now: Instant) -> LineSlot? { key.bytes.withUnsafeBytes { hit(key.hash, $0, now: now) } }

    package mutating func read(
        _ key: CacheKey,
        _ call: CacheCall,
        now: Instant,
        into effects: inout RequestorEffects
    ) {
        guard admit(call, &effects) else { return }
        read(key, call, now, &effects)
    }

    mutating func read(_ key: CacheKey, _ call: CacheCall, _ now: Instant, _ effects: inout RequestorEffects) {
        dropLapsed(key, now, &effects)
        if let slot = hit(key, now) { return complete(call, .read(data(slot, now), lines.state(slot)), &effects) }
        guard var transaction = transactions.removeValue(forKey: key) else {
            var transaction = newTransaction(.reading(number: takeRead()), key)
            transaction.readers = [call]
            return send(transaction, key, now, &effects)
        }
        if case .reading = transaction.kind, mayJoin(transaction, now) {
            transaction.readers.append(call)
        } else {
            transaction.queue.append(call)
        }
        transactions[key] = transaction
    }

    /// A reply may have been sent before the read came. It is the latest all the same while nobody has told this node
    /// to let go of the line, and nobody may have gone on without telling it.
    private func mayJoin(_ transaction: LineTransaction, _ now: Instant) -> Bool {
        (!transaction.isInvalidated || leavesOut(.joinAfterInvalidation))
            && (now < leaseEnd || transaction.sentAt == nil || leavesOut(.sendWithoutLease))
    }

    /// What a line holds, for a message or an answer.
    func data(_ slot: LineSlot, _ now: Instant) -> LineData {
        let end = lines.expiresAt(slot)
        return LineData(
            value: lines.exists(slot) ? [UInt8](lines.value(slot)) : nil,
            version: lines.version(slot),
            remaining: end == 0 ? nil : (end > now.nanoseconds ? (end - now.nanoseconds) / 1_000_000 : 0)
        )
    }

    /// A line whose time is up is let go of; the home says what comes now. Unlogged data is its owner's to remove.
    private mutating func dropLapsed(_ key: CacheKey, _ now: Instant, _ effects: inout RequestorEffects) {
        guard now < leaseEnd, transactions[key] == nil, var slot = lines.find(key) else { return }
        var fields = lines.fields(slot)
        guard fields.expiresAt != 0, fields.expiresAt <= now.nanoseconds else { return }
        if isUnlogged(slot), fields.version.minor < .max {
            fields.exists = false
            fields.expiresAt = 0
            own(&fields, fields.durability, now)
            lines.store(&slot, value: UnsafeRawBufferPointer(start: nil, count: 0), fields)
            effects.departed.append(key)
        } else {
            remove(slot, key, &effects)
        }
    }

    // MARK: Writing

    package mutating func write(
        _ key: CacheKey,
        _ call: CacheCall,
        now: Instant,
        into effects: inout RequestorEffects
    ) {
        guard admit(call, &effects) else { return }
        guard transactions[key] == nil else {
            transactions[key]?.queue.append(call)
            return
        }
        guard !writeInLine(key, call, now, &effects) else { return }
        startWrite(key, call, queue: [], now, &effects)
    }

    /// - Parameter queue: calls that came after this one.
    mutating func startWrite(
        _ key: CacheKey,
        _ call: CacheCall,
        queue: [CacheCall],
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) {
        var queue = queue
        let group = CallGroup(call, &queue, max: configuration.maxGroup)
        let number = takeWrite(key)
        var write = CacheWrite(
            id: RequestID(origin: configuration.origin, number: number),
            floor: 0,
            earlier: group.earlier,
            operation: group.operation,
            durability: group.durability,
            held: .nothing,
            token: group.token
        )
        dropLapsed(key, now, &effects)
        if let slot = hit(key, now) {
            write.gid = lines.gid(slot)
            switch lines.state(slot) {
            case .shared where lines.flags(slot).contains(.wroteLast):
                write.held = .shared
                pin(slot)
            case .shared, .invalid:
                // The home may give the line to others before its answer arrives here.
                if leavesOut(.keepLineInPut) { pin(slot) } else { remove(slot, key, &effects) }
            case .exclusive, .modified:
                write.held = .owned
                if isUnlogged(slot) { write.data = data(slot, now) }
                pin(slot)
            }
        } else if let slot = lines.find(key) {
            // Without a lease the home may go on without this node's word, and the line would come back with the lease.
            write.gid = lines.gid(slot)
            if isUnlogged(slot) { write.data = data(slot, now) }
            remove(slot, key, &effects)
        }
        var transaction = newTransaction(.writing(write), key)
        transaction.writers = group.calls
        transaction.queue = queue
        send(transaction, key, now, &effects)
    }

    /// - Returns: false if the call has to go to the home.
    mutating func writeInLine(
        _ key: CacheKey,
        _ call: CacheCall,
        _ now: Instant,
        _ effects: inout RequestorEffects
    ) -> Bool {
        // The log alone knows of a lock's tokens.
        guard case .write(let operation, let durability, token: 0) = call.kind,
            let (answer, version) = writeSilently(key, operation, durability, now: now, into: &effects)
        else { return false }
        if durability == .local, let slot = lines.find(key), isUnlogged(slot) {
            callCount -= 1
            let result = CacheCallResult.written(answer, version)
            effects.journal.append(
                JournalledWrite(
                    key: key,
                    data: data(slot, now),
                    token: call.token,
                    result: result,
                    deadline: call.deadline
                )
            )
        } else {
            complete(call, .written(answer, version), &effects)
        }
        return true
    }

    /// A write in the owner's line, without the log, of a call without a token that nobody else counts. Nil: it has to
    /// go to the home. So do removals, and writes where nothing stands: the store gives all absent keys one version,
    /// which no owner could write on.
    package mutating func writeSilently(
        _ key: CacheKey,
        _ operation: CacheOperation,
        _ durability: CacheDurability,
        now: Instant,
        into effects: inout RequestorEffects
    ) -> (CacheAnswer, CacheVersion)? {
        guard !durability.isLogged, transactions[key] == nil, var slot = hit(key, now) else { return nil }
        var fields = lines.fields(slot)
        guard fields.flags.contains(.silent), fields.state != .shared, fields.exists, fields.version.minor < .max
        else { return nil }
        let current = CacheCurrent(
            value: [UInt8](lines.value(slot)),
            version: fields.version,
            expiresAt: fields.expiresAt / 1_000_000
        )
        let change = operation.evaluate(current, now: now.nanoseconds / 1_000_000)
        switch change.effect {
        case .none: return (change.answer, fields.version)
        case .store(let value, let expiresAt):
            own(&fields, durability, now)
            fields.expiresAt = expiresAt &* 1_000_000
            value.withUnsafeBytes { lines.store(&slot, value: $0, fields) }
        case .remove: return nil
        }
        statistics.ownedWrites += 1
        effects.departed.append(key)
        return (change.answer, fields.version)
    }

    /// A plain SET of the mode `volatile` in the owner's line; nothing is allocated but room for a longer value. False:
    /// it has to go the long way.
    package mutating func setSilently(
        _ hash: UInt64,
        _ key: UnsafeRawBufferPointer,
        _ value: UnsafeRawBufferPointer,
        now: Instant,
        tick: UInt64
    ) -> Bool {
        guard var slot = hit(hash, key, now: now), lines.flags(slot).contains(.silent),
            !lines.flags(slot).contains(.pinned) || lines.flags(slot).contains(.flushing),
            lines.state(slot) != .shared, lines.exists(slot), lines.version(slot).minor < .max
        else { return false }
        if lines.flags(slot).contains(.flushing), transactions[CacheKey(Array(key))] != nil { return false }
        var fields = lines.fields(slot)
        own(&fields, .volatile, now)
        fields.expiresAt = 0
        lines.store(&slot, value: value, fields)
        lines.touch(slot, tick: tick)
        statistics.ownedWrites += 1
        return true
    }

    /// Whether a write of the key is under way.
    package func isWriting(_ key: CacheKey) -> Bool { transactions[key] != nil }

    /// Nothing waits for time to pass.
    package var isIdle: Bool { open.isEmpty && flushes.isEmpty && hints.isEmpty && lines.dirtyCount == 0 }

    /// Milliseconds since the oldest unlogged line was written; a tenth of a second is the unit.
    package func dirtyAge(_ now: Instant) -> UInt64 {
        guard let slot = lines.oldestDirty, let since = lines.dirtySince(slot) else { return 0 }
        return UInt64(Self.deciseconds(now) &- since) * 100
    }

    private mutating func own(_ fields: inout LineFields, _ durability: CacheDurability, _ now: Instant) {
        statistics.count(from: fields.state, to: .modified)
        fields.state = .modified
        fields.version.minor += 1
        fields.durability = durability
        if fields.dirtySince == nil { fields.dirtySince = Self.deciseconds(now) }
    }

    static func deciseconds(_ now: Instant) -> UInt32 { UInt32(truncatingIfNeeded: now.nanoseconds / 100_000_000) }

    // MARK: Calls

    private mutating func admit(_ call: CacheCall, _ effects: inout RequestorEffects) -> Bool {
        callCount += 1
        guard callCount > configuration.maxCalls else { return true }
        complete(call, .failed(.busy(reason: "too many calls wait for the shard's home")), &effects)
        return false
    }

    mutating func complete(_ call: CacheCall, _ result: CacheCallResult, _ effects: inout RequestorEffects) {
        callCount -= 1
        effects.completed.append((call.token, result))
    }

    private mutating func takeRead() -> UInt64 {
        defer { nextRead += 1 }
        return nextRead
    }

    private mutating func takeWrite(_ key: CacheKey) -> UInt64 {
        defer { nextWrite += 1 }
        writesOpen[nextWrite] = key
        return nextWrite
    }

    mutating func newTransaction(_ kind: LineTransaction.Kind, _ key: CacheKey) -> LineTransaction {
        defer { nextTransaction += 1 }
        open[nextTransaction] = key
        return LineTransaction(id: nextTransaction, kind: kind)
    }

    // MARK: Lines

    /// Whether memory or log may lack what the line holds.
    func isUnlogged(_ slot: LineSlot) -> Bool {
        lines.dirtySince(slot) != nil || lines.flags(slot).contains(.flushing)
    }

    mutating func pin(_ slot: LineSlot) {
        var slot = slot
        var fields = lines.fields(slot)
        fields.flags.insert(.pinned)
        lines.setFields(&slot, fields)
    }

    mutating func remove(_ slot: LineSlot, _ key: CacheKey, _ effects: inout RequestorEffects) {
        statistics.count(from: lines.state(slot), to: .invalid)
        lines.remove(slot)
        effects.departed.append(key)
    }

    func leavesOut(_ rule: PlantedCacheBug) -> Bool {
        #if PLANTED_BUGS
            configuration.plantedBug == rule
        #else
            false
        #endif
    }
}

/// Counts since the process started.
package struct RequestorStatistics: Sendable, Equatable {
    package var ownedWrites: UInt64 = 0
    package var invalidations: UInt64 = 0
    package var recalls: UInt64 = 0
    package var fills: UInt64 = 0
    package var writes: UInt64 = 0
    package var writeBacks: UInt64 = 0
    package var evictions: UInt64 = 0
    package var staleMessages: UInt64 = 0
    package var synchronisations: UInt64 = 0
    package var leaseLosses: UInt64 = 0
    /// `from * 4 + to`, by `LineState.rawValue`.
    package var transitions: [UInt64] = Array(repeating: 0, count: 16)

    package init() {}

    mutating func count(from: LineState, to: LineState) {
        transitions[Int(from.rawValue) * 4 + Int(to.rawValue)] += 1
    }
}
