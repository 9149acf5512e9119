// SPDX-License-Identifier: Apache-2.0
import Primitives

extension QueueState {
    /// Answers a read at cluster time `stamp` (milliseconds). Looks at a bounded number of records.
    package func query(_ query: QueueQuery, stamp: UInt64) -> QueueResponse {
        switch query {
        case .queue(let name): .queue(queueIndex[name].map { view($0, stamp) })
        case .queues(let prefix, let after, let limit): list(prefix, after, limit, stamp)
        case .peek(let name, let state, let limit):
            if let queue = queueIndex[name] {
                .messages(peek(queue, state, max(0, min(limit, QueueLimits.pageEntries))))
            } else {
                .refused(.noQueue(name))
            }
        case .message(let name, let id):
            if let queue = queueIndex[name] {
                .message(
                    store.table.find(id.rawValue).flatMap { position in
                        Slot(store.table[position].queue) == queue ? view(store.table[position]) : nil
                    }
                )
            } else {
                .refused(.noQueue(name))
            }
        case .consumer(let id): .consumer(consumerIndex[id].map { view(consumer: $0, stamp) })
        }
    }

    private func list(_ prefix: String, _ after: Name, _ limit: Int, _ stamp: UInt64) -> QueueResponse {
        let limit = max(1, min(limit, QueueLimits.pageEntries))
        var views: [QueueView] = []
        let start = max(after, Name(prefix))
        for (name, queue) in queueNames.entries(from: start) where name > after || after.byteCount == 0 {
            guard name.text.utf8.starts(with: prefix.utf8) else { break }
            if views.count == limit { return .queues(views, next: views[limit - 1].name) }
            views.append(view(queue, stamp))
        }
        return .queues(views, next: "")
    }

    private func view(_ queue: Slot, _ stamp: UInt64) -> QueueView {
        let record = queues[queue]
        var view = QueueView(name: record.name, settings: record.settings)
        view.depth = record.depth
        view.bytes = record.bytes
        view.totals = record.totals
        view.isPublishPaused = record.isPublishPaused
        view.isConsumePaused = record.isConsumePaused
        view.waiters = UInt64(record.waits)
        view.tenants = UInt64(record.tenants.reduce(0) { $0 + ($1.live > 0 ? 1 : 0) })
        let oldest = offered(queue, 1).first
        view.oldestReadyMilliseconds = oldest.map { stamp - min(stamp, self.record($0).published) }
        if record.firstInFlight != noSlot {
            view.oldestInFlightMilliseconds = stamp - min(stamp, store.extras[record.firstInFlight].delivered)
        }
        view.dwell = record.dwell
        view.redriveLeft = record.redrive?.left ?? 0
        return view
    }

    /// The first deliverable messages by id, of all tenants and priorities.
    private func offered(_ queue: Slot, _ limit: Int) -> [UInt64] {
        var ids: [UInt64] = []
        for tenant in queues[queue].active {
            for (priority, line) in queues[queue].tenants[tenant].lines.enumerated() where line.live > 0 {
                let key = IDLine.Key(queue: queue, tenant: tenant, priority: priority)
                ids += line.prefix(limit, store, key, visits: QueueLimits.pageVisits)
            }
        }
        ids.sort()
        return Array(ids.prefix(limit))
    }

    private func peek(_ queue: Slot, _ state: MessageState, _ limit: Int) -> [MessageView] {
        switch state {
        case .ready: return ready(queue, limit).map { view(record($0)) }
        case .inFlight:
            var views: [MessageView] = []
            var extra = queues[queue].firstInFlight
            while extra != noSlot, views.count < limit {
                views.append(view(record(store.extras[extra].id)))
                extra = store.extras[extra].nextInFlight
            }
            return views
        case .delayed: return queues[queue].delays.prefix(limit).map { view(record($0.order)) }
        case .dead:
            var views: [MessageView] = []
            var dead = queues[queue].firstDead
            var visits = 0
            while dead != noSlot, views.count < limit, visits < QueueLimits.pageVisits {
                visits += 1
                let record = record(store.extras[deads[dead].extra].id)
                if record.state == .dead { views.append(view(record)) }
                dead = deads[dead].next
            }
            return views
        }
    }

    /// Ready messages by id: the deliverable ones, and those behind another of their key.
    private func ready(_ queue: Slot, _ limit: Int) -> [UInt64] {
        var ids = offered(queue, limit)
        var visits = 0
        var heads = ids.compactMap { id -> Slot? in
            let extra = record(id).extra
            return extra == noSlot ? nil : store.extras[extra].nextInGroup
        }
        func addBlocked(by extra: Slot) {
            let group = store.extras[extra].group
            if group != noSlot, store.groups[group].blocker == extra { heads.append(store.groups[group].first) }
        }
        var flying = queues[queue].firstInFlight
        while flying != noSlot, visits < QueueLimits.pageVisits {
            visits += 1
            addBlocked(by: flying)
            flying = store.extras[flying].nextInFlight
        }
        for node in queues[queue].delays.prefix(limit) { addBlocked(by: node.slot) }
        for head in heads {
            var extra = head
            var taken = 0
            while extra != noSlot, taken < limit, visits < 2 * QueueLimits.pageVisits {
                ids.append(store.extras[extra].id)
                extra = store.extras[extra].nextInGroup
                taken += 1
                visits += 1
            }
        }
        ids.sort()
        return Array(ids.prefix(limit))
    }

    private func view(_ record: MessageRecord) -> MessageView {
        let queue = Slot(record.queue)
        var view = MessageView(
            id: MessageID(rawValue: record.id),
            state: record.state ?? .dead,
            bytes: store.bytes(record),
            published: record.published
        )
        view.tenant = queues[queue].tenants[Int(record.tenant)].name
        view.priority = UInt8(truncatingIfNeeded: record.priority)
        guard record.extra != noSlot else { return view }
        let extra = store.extras[record.extra]
        view.failures = UInt64(extra.failures)
        view.returns = UInt64(extra.returns)
        view.deliveries = UInt64(extra.deliveries)
        if extra.group != noSlot { view.key = store.groups[extra.group].key }
        if record.state == .inFlight || record.state == .delayed { view.due = extra.due }
        if extra.expires > 0 { view.expires = extra.expires }
        if extra.consumer != noSlot { view.consumer = consumers[extra.consumer].id }
        if extra.dead != noSlot { view.deadLetter = deads[extra.dead].letter }
        return view
    }

    private func view(consumer: Slot, _ stamp: UInt64) -> ConsumerView {
        let record = consumers[consumer]
        return ConsumerView(
            id: record.id,
            label: record.label,
            ttlMilliseconds: UInt64(record.ttlMilliseconds),
            credit: UInt64(record.credit),
            inFlight: UInt64(record.inFlight),
            waiting: UInt64(record.waits),
            ageMilliseconds: stamp - min(stamp, record.since)
        )
    }
}

extension OrderedMap where Key: Sendable {
    /// The entries whose key is not below `key`, in order.
    func entries(from key: Key) -> DropFirstSequence<Self> { dropFirst(position(of: key)) }
}
