// SPDX-License-Identifier: Apache-2.0
import Primitives

// Finding records by name, and making and freeing those that live only while used.

extension LockState {
    private static func hash(_ key: some Hashable) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(key)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    private static func hash(_ namespace: Slot, _ name: Name) -> UInt32 {
        var hasher = Hasher()
        hasher.combine(namespace)
        hasher.combine(name)
        return UInt32(truncatingIfNeeded: hasher.finalize())
    }

    // Objects

    func findObject(_ namespace: Slot, _ name: Name) -> Slot? {
        objectIndex.find(Self.hash(namespace, name)) {
            objects[$0].namespace == namespace && objects[$0].name == name
        }
    }

    func findObject(namespace: Name, name: Name) -> Slot? {
        guard let space = findNamespace(namespace) else { return nil }
        return findObject(space, name)
    }

    /// The caller has checked the quota, and that the name is free.
    mutating func makeObject(_ namespace: Slot, _ name: Name, _ kind: ObjectKind) -> Slot {
        let object = objects.insert(ObjectRecord(name: name, namespace: namespace, kind: kind))
        objectIndex.insert(Self.hash(namespace, name), object)
        namespaces[namespace].objects += 1
        return object
    }

    mutating func detail(of object: Slot) -> Slot {
        if objects[object].detail == noSlot { objects[object].detail = details.insert(DetailRecord(object: object)) }
        return objects[object].detail
    }

    /// Frees what the object no longer needs: its detail, or all of it.
    mutating func trim(_ object: Slot) {
        guard objects.contains(object) else { return }
        let detail = objects[object].detail
        if detail != noSlot {
            if details[detail].waiterCount > 0 || details[detail].delayMilliseconds > 0 { return }
            if objects[object].holdCount > 0 && objects[object].kind != .lock { return }
            details.remove(detail)
            objects[object].detail = noSlot
        }
        guard objects[object].holdCount == 0 else { return }
        let namespace = objects[object].namespace
        objectIndex.remove(Self.hash(namespace, objects[object].name), object)
        objects.remove(object)
        namespaces[namespace].objects -= 1
        trimNamespace(namespace)
    }

    // Namespaces

    func findNamespace(_ name: Name) -> Slot? {
        namespaceIndex.find(Self.hash(name)) { namespaces[$0].name == name }
    }

    /// Nil when the shard has as many namespaces in use as it may.
    mutating func makeNamespace(_ name: Name) -> Slot? {
        if let namespace = findNamespace(name) { return namespace }
        guard namespaces.count < limits.namespaces else { return nil }
        let namespace = namespaces.insert(NamespaceRecord(name: name))
        namespaceIndex.insert(Self.hash(name), namespace)
        return namespace
    }

    mutating func trimNamespace(_ namespace: Slot) {
        guard namespaces[namespace].sessions == 0, namespaces[namespace].objects == 0 else { return }
        namespaceIndex.remove(Self.hash(namespaces[namespace].name), namespace)
        namespaces.remove(namespace)
    }

    // Sessions

    func findSession(_ id: SessionID) -> Slot? {
        sessionIndex.find(Self.hash(id.name)) { sessions[$0].id == id }
    }

    mutating func indexSession(_ session: Slot) {
        sessionIndex.insert(Self.hash(sessions[session].id.name), session)
    }

    mutating func unindexSession(_ session: Slot) {
        sessionIndex.remove(Self.hash(sessions[session].id.name), session)
    }

    // Owners

    func findOwner(_ name: Name) -> Slot? { ownerIndex.find(Self.hash(name)) { owners[$0].name == name } }

    mutating func joinOwner(_ session: Slot, _ name: Name) {
        if let owner = findOwner(name) {
            let first = owners[owner].firstSession
            sessions[session].nextOfOwner = first
            sessions[first].previousOfOwner = session
            owners[owner].firstSession = session
            sessions[session].owner = owner
        } else {
            let owner = owners.insert(OwnerRecord(name: name, firstSession: session))
            ownerIndex.insert(Self.hash(name), owner)
            sessions[session].owner = owner
        }
    }

    mutating func leaveOwner(_ session: Slot) {
        let owner = sessions[session].owner
        guard owner != noSlot else { return }
        let next = sessions[session].nextOfOwner
        let previous = sessions[session].previousOfOwner
        if next != noSlot { sessions[next].previousOfOwner = previous }
        if previous != noSlot {
            sessions[previous].nextOfOwner = next
        } else if next != noSlot {
            owners[owner].firstSession = next
        } else {
            ownerIndex.remove(Self.hash(owners[owner].name), owner)
            owners.remove(owner)
        }
    }

    // Waits

    func findWait(_ request: RequestID) -> Slot? {
        waitIndex.find(Self.hash(request)) { waits[$0].request == request }
    }

    mutating func indexWait(_ wait: Slot) { waitIndex.insert(Self.hash(waits[wait].request), wait) }

    mutating func unindexWait(_ wait: Slot) { waitIndex.remove(Self.hash(waits[wait].request), wait) }

    /// Rebuilds the indexes of a state read from a snapshot. False when a name stands twice.
    mutating func rebuildIndexes() -> Bool {
        for slot in 0..<namespaces.end where namespaces.contains(slot) {
            guard findNamespace(namespaces[slot].name) == nil else { return false }
            namespaceIndex.insert(Self.hash(namespaces[slot].name), slot)
        }
        for slot in 0..<owners.end where owners.contains(slot) {
            guard findOwner(owners[slot].name) == nil else { return false }
            ownerIndex.insert(Self.hash(owners[slot].name), slot)
        }
        for slot in 0..<sessions.end where sessions.contains(slot) {
            #if PLANTED_BUGS
                if sessions[slot].isEnded { continue }
            #endif
            guard findSession(sessions[slot].id) == nil else { return false }
            indexSession(slot)
        }
        for slot in 0..<objects.end where objects.contains(slot) {
            guard findObject(objects[slot].namespace, objects[slot].name) == nil else { return false }
            objectIndex.insert(Self.hash(objects[slot].namespace, objects[slot].name), slot)
        }
        for slot in 0..<waits.end where waits.contains(slot) {
            guard findWait(waits[slot].request) == nil else { return false }
            indexWait(slot)
        }
        return true
    }
}
