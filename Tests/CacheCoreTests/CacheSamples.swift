// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives

/// Values of all that is sent or logged, at random, with the ends of each range more often than not.
struct CacheSamples {
    private var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func below(_ bound: UInt64) -> UInt64 { random.below(bound) }

    mutating func bool() -> Bool { random.below(2) == 0 }

    mutating func number() -> UInt64 {
        switch random.below(4) {
        case 0: random.below(3)
        case 1: .max - random.below(3)
        default: random.next() >> random.below(64)
        }
    }

    mutating func signed() -> Int64 { Int64(bitPattern: bool() ? number() : 0 &- number()) }

    mutating func bytes(_ limit: UInt64 = 40) -> [UInt8] {
        (0..<random.below(limit)).map { _ in UInt8(truncatingIfNeeded: random.next()) }
    }

    /// Few, so that they meet.
    mutating func key() -> CacheKey { CacheKey("k\(random.below(4))") }

    mutating func version() -> CacheVersion {
        CacheVersion(index: number(), minor: UInt32(truncatingIfNeeded: number()))
    }

    mutating func member() -> CacheMember { CacheMember(node: NodeID(random.below(5)), incarnation: number()) }

    mutating func view() -> CacheView {
        let nodes = (0..<UInt64(5)).filter { _ in bool() }
        return CacheView(
            version: number(),
            members: nodes.map { CacheMember(node: NodeID($0), incarnation: number()) }
        )
    }

    mutating func data() -> LineData {
        LineData(
            value: bool() ? bytes() : nil,
            version: version(),
            // As it is sent, one more has to fit.
            remaining: bool() ? min(number(), .max - 1) : nil
        )
    }

    mutating func record() -> JournalRecord {
        if bool() { return .clock(JournalClock(boot: bytes(), uptime: number(), wall: number())) }
        return .write(key(), value: bool() ? bytes() : nil, version(), expiresAt: bool() ? number() : nil)
    }

    mutating func expiry() -> ExpiryChange {
        switch random.below(3) {
        case 0: .keep
        case 1: .never
        default: .after(signed())
        }
    }

    mutating func condition() -> CacheCondition {
        switch random.below(6) {
        case 0: .always
        case 1: .absent
        case 2: .present
        case 3: .equals(bytes())
        case 4: .differs(bytes())
        default: .version(version())
        }
    }

    mutating func operation() -> CacheOperation {
        switch random.below(7) {
        case 0: .set(value: bytes(), expiry: expiry(), condition: condition(), wantsOld: bool())
        case 1: .remove(condition: condition(), wantsOld: bool())
        case 2:
            .expire(
                expiry(),
                condition: ExpiryCondition(rawValue: UInt8(random.below(7))) ?? .always,
                wantsValue: bool()
            )
        case 3: .add(signed())
        case 4: .addDecimal(bool() ? Array("\(Double(signed()) / 7)".utf8) : bytes())
        case 5: .append(bytes())
        default: .setRange(offset: bool() ? below(100) : number(), bytes())
        }
    }

    mutating func versions() -> [CacheKeyVersion] { (0..<below(4)).map { _ in CacheKeyVersion(key(), version()) } }

    mutating func command() -> CacheCommand {
        switch random.below(11) {
        case 0: .write(key(), operation(), data: bool() ? data() : nil, token: number())
        case 1: .write(key(), earlier: earlier(), operation(), data: bool() ? data() : nil, token: 0)
        case 2: .persist((0..<below(4)).map { _ in CacheKeyData(key(), data()) })
        case 3: .expire(versions())
        case 4: .removeAll
        case 5: .flushed(versions())
        case 6: .released(versions())
        case 7: bool() ? .join(member()) : .remove(member())
        case 8: .memoryChanged(MemoryMark(epoch: number(), runID: bytes()))
        case 9: .memoryFenced(MemoryMark(epoch: number(), runID: bytes()))
        default: .memoryCleared(version())
        }
    }

    mutating func request() -> HomeRequest {
        switch random.below(6) {
        case 0: return .read(key(), number: number())
        case 1:
            let earlier = earlier()
            let write = CacheWrite(
                id: RequestID(origin: number(), number: number()),
                floor: number(),
                earlier: earlier,
                operation: operation(),
                durability: CacheDurability.allCases[Int(below(4))],
                held: HeldLine(rawValue: UInt8(below(3))) ?? .nothing,
                gid: number(),
                data: bool() ? data() : nil,
                token: earlier.isEmpty ? number() : 0
            )
            return .write(key(), write)
        case 2: return .hints((0..<below(4)).map { _ in (key(), number()) })
        case 3: return .put(key(), gid: number(), PutReason(rawValue: UInt8(below(3))) ?? .evict, data())
        case 4: return .ack(key(), gid: number(), data: bool() ? data() : nil, isKept: bool())
        default: return .synchronised(view: view())
        }
    }

    mutating func answer() -> CacheAnswer {
        switch random.below(6) {
        case 0: .done
        case 1: .notDone
        case 2: .count(signed())
        case 3: .value(bool() ? bytes() : nil, wasApplied: bool())
        case 4: .number(bytes())
        default: .refused(CacheRefusal.allCases[Int(below(UInt64(CacheRefusal.allCases.count)))])
        }
    }

    mutating func earlier() -> [CacheOperation] { (0..<below(3)).map { _ in operation() } }

    mutating func outcomes() -> [CacheOutcome] { (0..<below(3)).map { _ in CacheOutcome(answer(), version()) } }

    mutating func notice() -> CacheNotice {
        let grant = LineGrant(gid: number(), state: LineState.allCases[Int(below(4))], isSilent: bool())
        switch random.below(7) {
        case 0: return .data(key(), number: number(), grant, data())
        case 1:
            let data = bool() ? data() : nil
            return .written(key(), number: number(), grant, answer(), version(), earlier: outcomes(), data: data)
        case 2: return .invalidate(key(), gid: number())
        case 3: return .recall(key(), gid: number(), toShared: bool(), version())
        case 4: return .putDone(key(), gid: number(), version(), isStored: bool())
        case 5: return .synchronise(view: view())
        default:
            let refusal: HomeRefusal = bool() ? .busy(reason: "b\(number())") : .memoryDown(reason: "m")
            return .refused(key(), number: number(), isWrite: bool(), refusal)
        }
    }
}
