import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// All values that the key has had, in the order of their making, and what has been promised about them.
///
/// The check is linearizability with a witness: versions are the order. A new one has to follow the latest one, a
/// version stands for one value, and an answer is at least as new as every answer that was there when its call came.
struct WorldHistory {
    private(set) var values: [CacheVersion: [UInt8]?] = [.zero: nil]
    private(set) var latest = CacheVersion.zero
    /// The newest version that any answer spoke of.
    var finished = CacheVersion.zero
    /// Requests whose callers were told that nothing was done, and those that made a version.
    var denied: Set<RequestID> = []
    /// Values whose writers, of several in one request, were told that nothing was done.
    var withdrawn: Set<[UInt8]> = []
    var makers: [RequestID: [CacheVersion]] = [:]
    /// FLUSHALL that not everybody has heard of: what owners write meanwhile comes before it.
    var clearing: CacheVersion?
    private var trace = WorldHash()

    func value(_ version: CacheVersion) -> [UInt8]?? { values[version] }

    /// - Returns: what is wrong with it.
    @discardableResult
    mutating func create(_ version: CacheVersion, _ value: [UInt8]?, after base: CacheVersion? = nil) -> String? {
        if let clearing, version < clearing, values[version] == nil {
            values[version] = .some(value)
            trace.add(version)
            return nil
        }
        if let base, base != latest { return "version \(version) follows \(base), not \(latest): a write is lost" }
        if values[version] != nil { return "version \(version) is made twice" }
        if version <= latest, values[version] == nil, base != nil { return "version \(version) is not above \(latest)" }
        values[version] = .some(value)
        latest = version
        trace.add(version)
        trace.add(value)
        return nil
    }

    /// An owner is gone with what it had not logged. What it wrote may come back, or not.
    mutating func lose(logged: CacheVersion) {
        latest = min(latest, logged)
        finished = min(finished, logged)
        trace.add(1 as UInt64)
    }

    /// Something that was taken for lost is back.
    mutating func regain(_ version: CacheVersion) {
        latest = max(latest, version)
        trace.add(2 as UInt64)
    }

    func add(to hash: inout WorldHash) {
        hash.add(trace)
        hash.add(latest)
        hash.add(finished)
        hash.add(denied.count)
        hash.add(withdrawn.count)
    }
}

extension SmallWorld {
    mutating func fail(_ text: String) { if fault == nil { fault = text } }

    // MARK: What callers are told

    mutating func finished(_ token: UInt64, _ result: CacheCallResult, node: Int) {
        let number = Int(token)
        guard let floor = clients[number].floor else { return fail("client \(number) is answered twice") }
        let operation = plan.clients[number].operations[clients[number].next]
        let request = clients[number].request
        clients[number].floor = nil
        clients[number].request = nil
        clients[number].next += 1
        switch (result, operation) {
        case (.read(let data, _), .read):
            check(data.version, floor, "client \(number) reads")
            if let known = history.value(data.version) {
                if known != data.value { fail("client \(number) reads another value as version \(data.version)") }
            } else if data.value != nil {
                fail("client \(number) reads a version \(data.version) that nobody made")
            }
            promise(data.version)
        case (.written(let answer, let version), .write(let change, _, _)):
            written(number, change, answer, version, request, floor)
        case (.failed(.unknown), _): break
        case (.failed, .write(let change, _, _)):
            if clients[number].isAlone {
                if let request { deny(request, number) }
            } else if case .set(let value, _, _, _) = change {
                history.withdrawn.insert(value)
            }
        case (.failed, .read): break
        default: fail("client \(number) gets the answer to another question")
        }
    }

    private mutating func written(
        _ number: Int,
        _ change: CacheOperation,
        _ answer: CacheAnswer,
        _ version: CacheVersion,
        _ request: RequestID?,
        _ floor: CacheVersion
    ) {
        check(version, floor, "client \(number) writes")
        let effective =
            switch answer {
            case .done: true
            case .count(let count): if case .remove = change { count == 1 } else { true }
            default: false
            }
        if !effective {
            // With others in one request it made nothing, and they may have.
            if let request, clients[number].isAlone { deny(request, number) }
        } else if request == nil, version.minor > 0, history.value(version) == nil {
            // Carried out in the node's own line.
            let base = CacheVersion(index: version.index, minor: version.minor - 1)
            let current = CacheCurrent(value: history.value(base) ?? nil, version: base)
            guard case .store(let value, _) = change.evaluate(current, now: stamp).effect else {
                return fail("client \(number) is told of a change that is none")
            }
            if let wrong = history.create(version, value, after: base) { fail("client \(number): " + wrong) }
        } else if let request, history.makers[request]?.contains(version) != true {
            fail("client \(number) is told of version \(version), and made \(history.makers[request] ?? [])")
        } else if case .set(let value, _, _, _) = change, let known = history.value(version), known != value,
            known != nil
        {
            fail("client \(number) is told of version \(version), which is not its own")
        }
        promise(version)
    }

    private mutating func deny(_ request: RequestID, _ number: Int) {
        history.denied.insert(request)
        // Whatever meets a value whose time has come removes it, and changes nothing by that.
        for version in history.makers[request] ?? [] where history.value(version) != .some(nil) {
            fail("client \(number) is told that nothing was done, and version \(version) was made")
        }
    }

    private mutating func check(_ version: CacheVersion, _ floor: CacheVersion, _ what: String) {
        if version < floor { fail("\(what) version \(version), although \(floor) was answered before") }
    }

    private mutating func promise(_ version: CacheVersion) { history.finished = max(history.finished, version) }

    // MARK: What the log does

    mutating func changed(
        _ entry: LogEntry,
        _ index: Int,
        from old: CacheCurrent,
        to new: CacheCurrent
    ) {
        guard old.version != new.version else { return }
        switch entry.proposal.command {
        case .persist(let entries):
            // There is one key in this world.
            guard let data = entries.first?.data else { return }
            if data.version != new.version {
                // Removals raise the version of all absent keys.
                guard new.value == nil else { return fail("\(data.version) was logged as \(new.version)") }
                if let wrong = history.create(new.version, nil, after: data.version) { fail(wrong) }
                return
            }
            known(data)
        case .write(_, let earlier, let operation, let data, _):
            if new.version.index < UInt64(index) {
                return data.map { known($0) } ?? fail("an old write was carried out")
            }
            if let request = entry.proposal.id, history.denied.contains(request) {
                fail("\(request) was denied, and is carried out")
            }
            if let data, data.version > old.version { known(data) }
            var base = old
            if let data, data.version > old.version {
                let end = data.remaining.map { entry.stamp + $0 } ?? 0
                base = CacheCurrent(value: data.value, version: data.version, expiresAt: end)
            }
            carriedOut(earlier + [operation], on: base, entry, index, new)
        case .expire, .removeAll:
            // FLUSHALL takes everything, what was not logged yet included.
            let base = entry.proposal.command == .removeAll ? history.latest : old.version
            if let wrong = history.create(new.version, new.value, after: base) { fail(wrong) }
            if entry.proposal.command == .removeAll { history.clearing = new.version }
        case .flushed, .released, .memoryChanged, .memoryFenced, .memoryCleared, .join, .remove:
            fail("a home does not propose \(entry.proposal.command)")
        }
    }

    /// One value after the other, as the operations say, numbered in their order.
    private mutating func carriedOut(
        _ operations: [CacheOperation],
        on base: CacheCurrent,
        _ entry: LogEntry,
        _ index: Int,
        _ new: CacheCurrent
    ) {
        var made: [CacheVersion] = []
        var current = base
        for operation in operations {
            let value: [UInt8]?
            switch operation.evaluate(current, now: entry.stamp).effect {
            case .none: continue
            case .store(let stored, _):
                value = stored
                if history.withdrawn.contains(stored) { fail("\(stored) was denied, and is carried out") }
            case .remove: value = nil
            }
            let version = CacheVersion(index: UInt64(index), minor: UInt32(made.count))
            // What is overwritten unseen need not have been seen.
            let before = operation.needsCurrent || !made.isEmpty ? current.version : history.latest
            if let wrong = history.create(version, value, after: before) { fail(wrong) }
            made.append(version)
            current = CacheCurrent(value: value, version: version)
        }
        if new.version != made.last || new.value != current.value { fail("\(operations) made \(new)") }
        if let request = entry.proposal.id { history.makers[request] = made }
    }

    private mutating func known(_ data: LineData) {
        guard let value = history.value(data.version) else { return fail("nobody made \(data.version)") }
        if value != data.value { fail("version \(data.version) was logged with another value") }
        if data.version > history.latest { history.regain(data.version) }
    }

    // MARK: What holds after every step

    mutating func checkInvariants() {
        if homes[leader].box.home.phase == .active { history.clearing = nil }
        var owners = 0
        var readers = 0
        for number in nodes.indices where nodes[number].box.requestor.member != nil {
            guard let slot = nodes[number].box.requestor.hit(Self.key, now(number)) else { continue }
            readers += 1
            let fields = nodes[number].box.requestor.lines.fields(slot)
            if fields.state != .shared { owners += 1 }
            if fields.version < history.finished {
                fail("node \(number) would answer \(fields.version), although \(history.finished) was answered before")
            }
            let value = fields.exists ? [UInt8](nodes[number].box.requestor.lines.value(slot)) : nil
            if let known = history.value(fields.version), known != value {
                fail("node \(number) holds another value as version \(fields.version)")
            }
        }
        if owners > 1 || owners == 1 && readers > 1 { fail("\(owners) owners and \(readers) who can read") }
        checkRetention()
    }

    /// The latest value is in the log or with a node that is a member.
    private mutating func checkRetention() {
        let replica = homes[leader].replica
        if let current = replica.state.current(Self.key), current.version >= history.latest { return }
        for node in nodes where node.unlogged.map({ $0.version >= history.latest }) ?? false { return }
        for entry in log[(replica.applied + 1)...] {
            switch entry?.proposal.command {
            case .persist(let entries): if entries.contains(where: { $0.data.version >= history.latest }) { return }
            case .write(_, _, _, let data?, _): if data.version >= history.latest { return }
            default: break
            }
        }
        fail("version \(history.latest) is neither in the log nor with anybody")
    }
}
