import Primitives

// SPDX-License-Identifier: Apache-2.0
@testable import CacheCore

/// 128 bits of a state: with ten million states, the chance that two are taken for one is below 10⁻²⁴.
struct WorldHash: Hashable {
    private(set) var high: UInt64 = 0x243f_6a88_85a3_08d3
    private(set) var low: UInt64 = 0x1319_8a2e_0370_7344

    mutating func add(_ value: UInt64) {
        high = StableHash.combine(high, value)
        low = StableHash.combine(low ^ 0xa409_3822_299f_31d0, value)
    }

    mutating func add(_ value: Int) { add(UInt64(bitPattern: Int64(value))) }

    mutating func add(_ value: Bool) { add(value ? 1 : 0 as UInt64) }

    mutating func add(_ other: WorldHash) {
        add(other.high)
        add(other.low)
    }

    mutating func add(_ bytes: [UInt8]?) {
        guard let bytes else { return add(0 as UInt64) }
        add(bytes.withUnsafeBytes { StableHash.bytes($0) })
    }

    mutating func add(_ version: CacheVersion) {
        add(version.index)
        add(UInt64(version.minor))
    }

    mutating func add(_ member: CacheMember?) {
        add(member.map { $0.node.rawValue << 16 | $0.incarnation } ?? 0)
    }

    mutating func add(_ epoch: CacheEpoch) { add(epoch.term << 16 | epoch.round) }

    mutating func add(_ data: LineData?) {
        guard let data else { return add(0 as UInt64) }
        add(1 as UInt64)
        add(data.value)
        add(data.version)
        add(data.remaining ?? .max)
    }

    mutating func add(_ write: CacheWrite) {
        var writer = ByteWriter()
        write.encode(into: &writer)
        add(writer.bytes)
    }

    mutating func add(_ call: CacheCall) { add(call.token) }

    mutating func add(_ calls: [CacheCall]) {
        add(calls.count)
        for call in calls { add(call) }
    }
}

extension CacheRequestor {
    /// Everything that what comes next depends on, counters apart.
    borrowing func worldHash() -> WorldHash {
        var hash = WorldHash()
        hash.add(member)
        hash.add(leaseEnd.nanoseconds)
        hash.add(view.version)
        hash.add(epoch)
        hash.add(home?.rawValue ?? 0)
        hash.add(nextRead)
        hash.add(nextWrite)
        for (number, _) in writesOpen { hash.add(number) }
        for (_, flush) in flushes {
            hash.add(flush.version)
            hash.add(flush.resendAt.nanoseconds)
        }
        for (_, gid) in hints { hash.add(gid) }
        hash.add(callCount)
        if let slot = lines.find(SmallWorld.key) {
            let fields = lines.fields(slot)
            hash.add(UInt64(fields.state.rawValue) << 32 | UInt64(fields.flags.rawValue))
            hash.add(fields.gid)
            hash.add(fields.expiresAt)
            hash.add(fields.isDirty)
            hash.add(UInt64(fields.durability.rawValue))
            hash.add(data(slot, .zero))
        }
        for (_, key) in open {
            guard let transaction = transactions[key] else { continue }
            switch transaction.kind {
            case .reading(let number):
                hash.add(1 as UInt64)
                hash.add(number)
            case .writing(let write):
                hash.add(2 as UInt64)
                hash.add(write)
            case .putting(let gid, let reason, let data):
                hash.add(3 as UInt64)
                hash.add(gid)
                hash.add(UInt64(reason.rawValue))
                hash.add(data)
            }
            hash.add(transaction.sentAt?.nanoseconds ?? 0)
            hash.add(transaction.wasSent)
            hash.add(transaction.resendAt.nanoseconds)
            hash.add(transaction.floor)
            hash.add(transaction.isInvalidated)
            hash.add(transaction.readers)
            hash.add(transaction.writers.count)
            for writer in transaction.writers { hash.add(writer?.token ?? .max) }
            hash.add(transaction.queue)
        }
        return hash
    }
}

extension CacheHome {
    func worldHash() -> WorldHash {
        var hash = WorldHash()
        hash.add(phase == .idle ? 0 : phase == .active ? 1 : 2 as UInt64)
        hash.add(epoch)
        hash.add(isLeading)
        hash.add(view.version)
        hash.add(own)
        hash.add(leaseEnd.nanoseconds)
        hash.add(nextGid)
        hash.add(lastPlaced)
        hash.add(lastApplied)
        hash.add(restoring)
        hash.add(expiries.count)
        hash.add(expiries.earliest?.nanoseconds ?? 0)
        hash.add(clearing == .no ? 0 : clearing == .proposed ? 1 : 2 as UInt64)
        hash.add(history.lastWriter(SmallWorld.key.hash)?.rawValue ?? 0)
        hash.add(history.isShared(SmallWorld.key.hash))
        hash.add(verdicts.worldHash())
        for member in newcomers { hash.add(member) }
        hash.add(newcomers.count)
        for (member, _) in unsynchronised { hash.add(member) }
        hash.add(unsynchronised.count)
        for (from, request) in stalled {
            hash.add(from)
            var writer = ByteWriter()
            request.encode(into: &writer)
            hash.add(writer.bytes)
        }
        hash.add(stalled.count)
        if let line = directory[SmallWorld.key] { hash.add(line) }
        return hash
    }
}

extension WriteVerdicts {
    func worldHash() -> WorldHash {
        var hash = WorldHash()
        for (id, origin) in origins {
            hash.add(id)
            hash.add(origin.member)
            hash.add(origin.floor)
            for (number, _) in origin.verdicts { hash.add(number) }
        }
        return hash
    }
}

extension WorldHash {
    mutating func add(_ line: DirectoryLine) {
        add(line.isExclusive)
        add(line.isSilent)
        add(line.holders.count)
        for holder in line.holders {
            add(holder.member)
            add(holder.gid)
        }
        add(line.queue.count)
        for work in line.queue { add(work) }
        guard let transaction = line.transaction else { return }
        add(transaction.work)
        add(transaction.gid)
        for target in transaction.targets { add(target) }
        switch transaction.log {
        case .notNeeded: add(1 as UInt64)
        case .filling: add(2 as UInt64)
        case .held: add(3 as UInt64)
        case .proposed: add(4 as UInt64)
        case .applied(_, let isFirst):
            add(5 as UInt64)
            add(isFirst)
        }
        add(transaction.data)
        add(transaction.giver)
    }

    mutating func add(_ work: HomeWork) {
        add(work.from)
        switch work.kind {
        case .read(let number):
            add(1 as UInt64)
            add(number)
        case .write(let write):
            add(2 as UInt64)
            add(write)
        case .put(let gid, let reason, let data):
            add(3 as UInt64)
            add(gid)
            add(UInt64(reason.rawValue))
            add(data)
        case .expire: add(4 as UInt64)
        }
    }
}

extension SmallWorld {
    /// Of everything that what comes next, and what is checked, depends on.
    func hash() -> WorldHash {
        var hash = WorldHash()
        for node in nodes {
            hash.add(node.box.hash)
            hash.add(node.incarnation << 8 | UInt64(node.view))
            hash.add((node.isLeased ? 1 : 0) | (node.isGranted ? 2 : 0) | (node.isLate ? 4 : 0) as UInt64)
            hash.add(node.journal)
            hash.add(node.crashes)
        }
        for home in homes {
            hash.add(home.box.hash)
            hash.add(home.node << 32 | home.end << 16 | (home.kept ?? 0xff))
            hash.add(home.replica.applied << 1 | (home.isStopped ? 1 : 0))
            hash.add(home.ticket.map { Int($0.view) << 8 | Int($0.own?.incarnation ?? 0) } ?? -1)
            for (origin, floor) in home.replica.floors.sorted(by: { $0.key < $1.key }) {
                hash.add(origin ^ floor << 32)
            }
        }
        for row in channels {
            for channel in row {
                hash.add(channel.connections.count)
                for connection in channel.connections {
                    hash.add(connection.count)
                    for envelope in connection { hash.add(envelope.hash) }
                }
            }
        }
        hash.add(log.count)
        for entry in log.dropFirst(2) { hash.add(entry?.hash ?? 0) }
        hash.add(views.count)
        for view in views { hash.add(view.members.count) }
        for client in clients {
            hash.add(client.next)
            hash.add(client.floor ?? .zero)
        }
        hash.add(refusesNext)
        hash.add(hours)
        history.add(to: &hash)
        hash.add(budget.hashBits)
        return hash
    }
}

extension SmallWorldBudget {
    fileprivate var hashBits: UInt64 {
        var bits: UInt64 = 0
        for value in [
            evictions, flushes, breaks, lapses, revivals, removals, joins, takeovers, requestorTicks, homeTicks,
            timeouts, refusals, clearings, hours, crashes,
        ] { bits = bits << 4 | UInt64(value) }
        return bits
    }
}
