// SPDX-License-Identifier: Apache-2.0
import Glibc
import Logging
import Primitives
import QueueCore
import Replica
import Storage
import Telemetry

/// Answers whose messages have left the log: their bodies are read from the shard's segments, by a thread of its own
/// unless the block is at hand. A slow disk then delays those who read old messages and nobody else.
extension ShardLoop {
    func completeAnswer(_ read: BodyRead, _ hosted: HostedReplica) {
        var lookup = BodyLookup(read)
        if let blocks = lookup.fill(hosted.bodies, &bodyCache) {
            context.metrics.queues.blockReads.increment(by: blocks.count)
            load(blocks, lookup, hosted)
        } else {
            finish(lookup, hosted.shard)
        }
    }

    private func load(_ blocks: [BodyBlockRef], _ lookup: BodyLookup, _ hosted: HostedReplica) {
        let store = hosted.bodies
        let shard = hosted.shard
        context.readInBackground { [self] in
            do throws(StorageError) {
                var loaded: [(BodyBlockKey, BodyBlock)] = []
                for block in blocks { loaded.append((block.key, try store.read(block))) }
                let found = loaded
                post(.perform { $0.loaded(found, lookup, shard) })
            } catch {
                post(.perform { $0.cannotRead(lookup, shard, error) })
            }
        }
    }

    private func loaded(_ blocks: [(BodyBlockKey, BodyBlock)], _ lookup: BodyLookup, _ shard: ShardID) {
        var lookup = lookup
        for (key, block) in blocks {
            lookup.take(block)
            bodyCache.insert(block, key)
        }
        finish(lookup, shard)
        scheduleTurn()
    }

    private func finish(_ lookup: BodyLookup, _ shard: ShardID) {
        // What is not live any more was settled, dropped or purged while it was looked for.
        let lost = lookup.unfound.first { hosted[Int(shard.rawValue)]?.replica.state.queues.isLive($0) == true }
        if let lost { return bodiesAreDamaged(shard, "the body of message \(lost) is nowhere") }
        let envelope = ReplyEnvelope(
            to: lookup.read.to,
            id: lookup.read.id,
            reply: .answer(.queue(lookup.read.answer))
        )
        deliver(envelope, shard, NodeClock.now())
    }

    /// Damage stops the replica: the callers ask another, which has its own copy of what is lost here. Anything else,
    /// as too many open files, may pass: the caller's node asks again.
    private func cannotRead(_ lookup: BodyLookup, _ shard: ShardID, _ error: StorageError) {
        switch error {
        case .io(let failure) where failure.code != EIO:
            log.error(
                "a message cannot be read now",
                metadata: ["shard": "\(shard.rawValue)", "error": "\(error)"]
            )
            deliver(ReplyEnvelope(to: lookup.read.to, id: lookup.read.id, reply: .interrupted), shard, NodeClock.now())
            scheduleTurn()
        default: bodiesAreDamaged(shard, "\(error)")
        }
    }

    private func bodiesAreDamaged(_ shard: ShardID, _ what: String) {
        log.critical(
            "a message cannot be read from the disk",
            metadata: ["shard": "\(shard.rawValue)", "error": "\(what)"]
        )
        step(shard, .bodiesDamaged("a message cannot be read from the disk: \(what)"))
    }
}

/// One answer on its way to completeness.
private struct BodyLookup {
    var read: BodyRead
    var unfound: [MessageID] { read.missing.map { MessageID(rawValue: $0.message) } }

    init(_ read: BodyRead) { self.read = read }

    /// Takes what the cache has. Returns the blocks that have to be read first; nil when there are none.
    mutating func fill(_ store: BodyStore, _ cache: inout BodyCache) -> [BodyBlockRef]? {
        var wanted: [BodyBlockRef] = []
        var at = 0
        while at < read.missing.count {
            // Messages that follow each other mostly share a block.
            guard let block = store.block(containing: read.missing[at].message) else {
                at += 1
                continue
            }
            if let known = cache.find(block.key) {
                let before = read.missing.count
                take(known)
                if read.missing.count == before { at += 1 }
            } else {
                if wanted.last != block, !wanted.contains(block) { wanted.append(block) }
                at += 1
            }
        }
        return wanted.isEmpty ? nil : wanted
    }

    /// Takes every message that the block has.
    mutating func take(_ block: BodyBlock) {
        read.missing.removeAll { missing in
            guard let body = block.body(of: missing.message) else { return false }
            read.answer.contents[missing.place] = StoredMessage(bytes: body)
            return true
        }
    }
}
