// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Primitives
import Replica

/// What happens at one moment of the simulated world.
enum Event {
    /// A node drains its mailbox. `life` tells a node's processes apart: events of an earlier one are void.
    case turn(node: Int, life: UInt32)
    case tick(node: Int, life: UInt32)
    case deliver(from: Int, to: Int, generation: UInt32, frame: [PeerMessage])
    /// A peer that has heard nothing over this connection for too long closes it.
    case connectionIdle(pair: Int, generation: UInt32)
    case connect(pair: Int)
    case diskDone(node: Int, life: UInt32, batch: UInt64)
    case snapshotWritten(node: Int, life: UInt32, shard: Int)
    case snapshotInPlace(node: Int, life: UInt32, shard: Int)
    case bodiesRead(node: Int, life: UInt32, shard: Int, BodyRead)
    case restart(node: Int)
    case resume(node: Int)
    case client(Int)
    case clientRequest(node: Int, life: UInt32, operation: Int)
    case clientCancel(node: Int, life: UInt32, operation: Int)
    case clientAnswer(operation: Int, ClientAnswer)
    case cacheClient(Int)
    case cacheCall(node: Int, life: UInt32, call: Int)
    /// Nil: the node died, or does not answer.
    case cacheAnswer(call: Int, CacheCallResult?)
    case nemesis
    case faultEnds(Int)
    case phaseCheck
}

/// Events in order of time; those of the same moment in the order they were scheduled.
///
/// The heap holds plain keys and the events stay put in slots, so that sifting moves no reference counts.
struct EventQueue {
    private struct Key {
        var time: UInt64
        var order: UInt64
        var slot: Int32

        @inline(__always)
        static func precedes(_ left: Key, _ right: Key) -> Bool {
            left.time < right.time || (left.time == right.time && left.order < right.order)
        }
    }

    private var heap: [Key] = []
    private var slots: [Event?] = []
    private var free: [Int32] = []
    private var nextOrder: UInt64 = 0

    var count: Int { heap.count }

    mutating func schedule(_ event: Event, at time: WorldTime) {
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
            slots[Int(reused)] = event
        } else {
            slot = Int32(slots.count)
            slots.append(event)
        }
        heap.append(Key(time: time.nanoseconds, order: nextOrder, slot: slot))
        nextOrder += 1
        siftUp(heap.count - 1)
    }

    mutating func next() -> (time: WorldTime, event: Event)? {
        guard let first = heap.first else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        let slot = Int(first.slot)
        guard let event = slots[slot] else { invariantFailure("an event slot is empty") }
        slots[slot] = nil
        free.append(first.slot)
        return (WorldTime(nanoseconds: first.time), event)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        let moving = heap[index]
        while index > 0 {
            let parent = (index - 1) / 4
            guard Key.precedes(moving, heap[parent]) else { break }
            heap[index] = heap[parent]
            index = parent
        }
        heap[index] = moving
    }

    private mutating func siftDown() {
        var index = 0
        let moving = heap[0]
        let count = heap.count
        while true {
            let first = 4 * index + 1
            guard first < count else { break }
            var smallest = first
            var child = first + 1
            while child < min(first + 4, count) {
                if Key.precedes(heap[child], heap[smallest]) { smallest = child }
                child += 1
            }
            guard Key.precedes(heap[smallest], moving) else { break }
            heap[index] = heap[smallest]
            index = smallest
        }
        heap[index] = moving
    }
}
