// SPDX-License-Identifier: Apache-2.0
import LockCore
import Primitives
import RaftCore

/// What the cluster tells, as JSON.
enum JSONViews {
    static func holder(_ view: HolderView) -> JSONValue {
        .object(
            ("session", .string(view.session.name.text)),
            ("label", .string(view.label)),
            ("mode", .string(view.mode.text)),
            ("token", .number(view.token)),
            ("count", .number(view.count)),
            ("age_ms", .number(view.ageMilliseconds))
        )
    }

    static func waiter(_ view: WaiterView) -> JSONValue {
        .object(
            ("session", .string(view.session.name.text)),
            ("label", .string(view.label)),
            ("mode", .string(view.mode.text)),
            ("conversion", .bool(view.isConversion)),
            ("age_ms", .number(view.ageMilliseconds))
        )
    }

    static func edge(_ edge: CycleEdge) -> JSONValue {
        .object(
            ("session", .string(edge.session.name.text)),
            ("label", .string(edge.label)),
            ("waits_for", .string(edge.name.text)),
            ("mode", .string(edge.mode.text))
        )
    }

    static func session(_ view: SessionView) -> JSONValue {
        .object(
            ("session", .string(view.id.name.text)),
            ("namespace", .string(view.id.namespace.text)),
            ("label", .string(view.label)),
            ("owner", .string(view.owner)),
            ("ttl_ms", .number(view.ttlMilliseconds)),
            ("lock_delay_ms", .number(view.lockDelayMilliseconds)),
            ("remaining_ms", view.remainingMilliseconds.map(JSONValue.number) ?? .null),
            ("age_ms", .number(view.ageMilliseconds)),
            ("held", .strings(view.held.map(\.text))),
            ("held_count", .number(view.heldCount)),
            ("waiting", .strings(view.waiting.map(\.text)))
        )
    }

    static func object(_ view: ObjectView) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("namespace", .string(view.namespace.text)), .init("name", .string(view.name.text)),
            .init("kind", .string(view.kind.text)),
        ]
        if view.kind == .semaphore { members.append(.init("limit", .number(view.limit))) }
        if view.kind == .election { members.append(value(view.value)) }
        members += [
            .init("delayed", .bool(view.isDelayed)), .init("holder_count", .number(view.holderCount)),
            .init("waiter_count", .number(view.waiterCount)), .init("holders", .array(view.holders.map(holder))),
            .init("waiters", .array(view.waiters.map(waiter))),
        ]
        return .object(members)
    }

    /// An election's value as text, or as hexadecimal digits when it is not UTF-8.
    static func value(_ bytes: [UInt8]) -> JSONValue.Member {
        if let text = String(validating: bytes, as: UTF8.self) { return .init("value", .string(text)) }
        let digits = Array("0123456789abcdef".utf8)
        let hex = bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return .init("value_hex", .string(String(decoding: hex, as: UTF8.self)))
    }

    static func page(_ key: String, _ values: [JSONValue], cursor: UInt64) -> JSONValue {
        .object((key, .array(values)), ("cursor", .number(cursor)))
    }

    static func event(_ text: EventText) -> JSONValue {
        var members: [JSONValue.Member] = [
            .init("event", .string(text.event)), .init("namespace", .string(text.namespace)),
        ]
        if let name = text.name { members.append(.init("name", .string(name))) }
        if let session = text.session { members.append(.init("session", .string(session))) }
        if let mode = text.mode { members.append(.init("mode", .string(mode))) }
        if let token = text.token { members.append(.init("token", .number(token))) }
        if let reason = text.reason { members.append(.init("reason", .string(reason))) }
        return .object(members)
    }

    static func member(_ member: MemberStatus) -> JSONValue {
        .object(
            ("name", .string(member.name)),
            ("address", .string(member.address)),
            ("client_address", .optional(member.clientAddress)),
            ("http_address", .optional(member.httpAddress)),
            ("self", .bool(member.isSelf)),
            ("connected", .bool(member.isSelf || member.isConnected))
        )
    }

    static func shard(_ shard: ShardStatus) -> JSONValue {
        .object(
            ("shard", .number(UInt64(shard.shard.rawValue))),
            ("role", .string(shard.role)),
            ("term", .number(shard.term)),
            ("leader", .optional(shard.leader)),
            ("replicas", .strings(shard.replicas)),
            ("first_index", .number(shard.firstIndex)),
            ("last_index", .number(shard.lastIndex)),
            ("commit_index", .number(shard.commitIndex)),
            ("applied_index", .number(shard.appliedIndex)),
            ("sessions", .number(shard.sessions)),
            ("objects", .number(shard.objects))
        )
    }

    static func cluster(_ status: NodeStatus) -> JSONValue {
        .object(
            ("cluster_id", .string(status.clusterID)),
            ("node", .string(status.name)),
            ("ready", .bool(status.notReady.isEmpty)),
            ("not_ready", .strings(status.notReady)),
            ("shards", .number(status.shards.count)),
            ("shards_led", .number(status.shards.count { $0.leader == status.name })),
            ("nodes", .array(status.members.map(member)))
        )
    }

    static func status(_ status: NodeStatus) -> JSONValue {
        .object(
            ("node", .string(status.name)),
            ("version", .string(status.version)),
            ("cluster_id", .string(status.clusterID)),
            ("incarnation", .number(status.incarnation)),
            ("uptime_ms", .number(status.uptimeMilliseconds)),
            ("data_directory", .string(status.dataDirectory)),
            ("ready", .bool(status.notReady.isEmpty)),
            ("not_ready", .strings(status.notReady)),
            ("nodes", .array(status.members.map(member))),
            ("shards", .array(status.shards.map(shard)))
        )
    }
}
