// SPDX-License-Identifier: Apache-2.0
package import CacheCore
import NIOCore
import RESP
import Synchronization

// Client-side caching: the client is one more level of sharers. What it reads is tracked, and it is told when its copy
// is no longer vouched for.

extension RESPConnectionHandler: CacheTracker {
    static let invalidationChannel = "__redis__:invalidate"

    // MARK: Reads and writes of this connection

    /// Before the reads are begun, so that no change is missed.
    func trackReads(_ keys: [CacheKey], slot: UInt64) {
        guard let cache, let terms = tracking?.terms else { return }
        let isCounted = tracking?.tracksReads(of: slot) == true
        guard isCounted || terms.isBroadcast else { return }
        for key in keys {
            tracking?.noteRead(key, slot: slot, written: headNumber)
            guard isCounted else { continue }
            // What cannot be tracked must not be kept: the client is told so behind the reply.
            guard reserve(key) else {
                tracking?.delay(key, written: headNumber)
                continue
            }
            cache.track(key, self)
        }
    }

    /// Makes room for a key in the table; false when there is none.
    private func reserve(_ key: CacheKey) -> Bool {
        guard tracking?.keys.contains(key) == false else { return tracking != nil }
        if let count = tracking?.keys.count, count >= services.tracking.connectionLimit { dropTracked() }
        if !services.tracking.take() {
            dropTracked()
            guard services.tracking.take() else { return false }
        }
        _ = tracking?.insert(key)
        return true
    }

    /// The table is full: the client starts anew.
    private func dropTracked() {
        guard tracking?.keys.isEmpty == false else { return }
        cache?.untrack(self)
        services.tracking.giveBack(tracking?.removeAllKeys() ?? 0)
        tell(nil)
        tracking?.delay(nil, written: headNumber)
    }

    func beginOwnWrites(_ request: CacheRequest) {
        guard tracking?.terms.isNoLoop == true else { return }
        for key in request.writtenKeys { tracking?.beginWrite(key) }
    }

    func endOwnWrites(_ request: CacheRequest, _ result: CacheResult) {
        guard tracking?.terms.isNoLoop == true else { return }
        let versions = result.changedVersions
        for (index, key) in request.writtenKeys.enumerated() {
            let version = index < versions.count ? versions[index] : nil
            if tracking?.endWrite(key, version: version) == true { decide(key) }
        }
    }

    // MARK: Invalidations

    package func invalidate(_ key: CacheKey) {
        guard let terms = tracking?.terms, entry != nil else { return }
        if !terms.isBroadcast {
            guard tracking?.remove(key) == true else { return }
            services.tracking.giveBack(1)
        }
        guard terms.isNoLoop else { return announce(key) }
        decide(key)
    }

    package func invalidateAll() {
        guard tracking != nil, entry != nil else { return }
        services.tracking.giveBack(tracking?.removeAllKeys() ?? 0)
        announce(nil)
    }

    /// Under NOLOOP: a change is this connection's own if the key still has the version that it made. Reading that
    /// also tells of a change by another that followed so soon that one invalidation covers both.
    private func decide(_ key: CacheKey) {
        guard let cache, let cause = tracking?.cause(of: key) else { return }
        switch cause {
        case .other: announce(key)
        case .undecided: break
        case .own(let version):
            // The client keeps what it wrote, so the key stays tracked.
            if tracking?.terms.isBroadcast == false {
                guard reserve(key) else { return announce(key) }
                cache.track(key, self)
            }
            cache.read(key, CacheReadOptions(timeout: services.configuration.requestTimeout)) { result in
                if case .found(let read) = result, read.version == version { return }
                self.tracking?.forgetOwnWrite(key)
                self.announce(key)
            }
        }
    }

    /// Tells the client now; and again when a reply on its way, which may carry the old value, has been written.
    private func announce(_ key: CacheKey?) {
        tell(key)
        tracking?.delay(key, written: headNumber)
    }

    func tellDelayed() {
        guard let due = tracking?.takeDelayed(written: headNumber) else { return }
        for key in due { tell(key) }
        if queue.isEmpty { tracking?.allWritten() }
    }

    private func tell(_ key: CacheKey?) {
        guard let tracking, entry != nil, !isClosing else { return }
        let redirect = tracking.terms.redirect
        guard redirect != 0 else {
            if writer.version == .three { push(invalidated: key) }
            return
        }
        if let target = services.registry.entry(redirect) {
            target.channel.pipeline.fireUserInboundEventTriggered(ConnectionEvent.invalidated(key))
            return
        }
        self.tracking?.isRedirectBroken = true
        guard writer.version == .three else { return }
        writer.push(2)
        writer.bulk("tracking-redir-broken")
        writer.integer(redirect)
        pushed()
    }

    /// Another connection's invalidation, redirected to this one.
    func receive(invalidated key: CacheKey?) {
        guard entry != nil, !isClosing, writer.version == .three || isListening else { return }
        push(invalidated: key)
    }

    private func push(invalidated key: CacheKey?) {
        if writer.version == .three {
            writer.push(2)
            writer.bulk("invalidate")
        } else {
            writer.array(3)
            writer.bulk("message")
            writer.bulk(Self.invalidationChannel)
        }
        if let key {
            writer.array(1)
            writer.bulk(key.bytes)
        } else {
            writer.null()
        }
        pushed()
    }

    private func pushed() {
        if writer.buffer.readableBytes - solicitedBytes > services.configuration.outboundBytes {
            cutOff("reads invalidations too slowly")
        } else {
            schedulePushFlush()
        }
    }

    // MARK: On and off

    func beginTracking(_ terms: TrackingTerms) {
        guard let cache else { return writeError(RefusalText(CacheFailure.disabled).line) }
        var terms = terms
        if terms.isBroadcast {
            // No prefix means every key, which is one that is empty.
            let wanted = terms.prefixes.isEmpty ? [[]] : terms.prefixes
            var known = tracking?.terms.prefixes ?? []
            let new = wanted.filter { !known.contains($0) }
            guard known.count + new.count <= RequestLimits.watches else {
                return writeError("LIMIT a connection may track \(RequestLimits.watches) prefixes")
            }
            for prefix in new { cache.trackPrefix(prefix, self) }
            known += new
            terms.prefixes = known.sorted { $0.lexicographicallyPrecedes($1) }
        }
        if tracking == nil { tracking = ClientTracking(terms) } else { tracking?.terms = terms }
        tracking?.isRedirectBroken = false
        noteTracking()
        writer.simple("OK")
    }

    func endTracking() {
        guard tracking != nil else { return }
        cache?.untrack(self)
        services.tracking.giveBack(tracking?.removeAllKeys() ?? 0)
        tracking = nil
        noteTracking()
    }

    private func noteTracking() {
        isPlainRead = cache != nil && (tracking == nil || tracking?.terms.isBroadcast == true)
        isPlainWrite = isPlainRead && tracking?.terms.isNoLoop != true
        let isTracking = tracking != nil
        entry?.description.withLock { $0.isTracking = isTracking }
    }
}

extension CacheRequest {
    var readKeys: [CacheKey] {
        switch self {
        case .read(let key): [key]
        case .readMany(let keys): keys
        default: []
        }
    }

    var writtenKeys: [CacheKey] {
        switch self {
        case .write(let key, _, _): [key]
        case .writeMany(let writes): writes.map(\.key)
        default: []
        }
    }
}

extension CacheResult {
    /// The versions that the writes of a request made, in its order; nil for one that made none.
    fileprivate var changedVersions: [CacheVersion?] {
        switch self {
        case .written(let answer, let version): [answer.mayHaveChanged ? version : nil]
        case .writes(let writes): writes.map { $0.answer.mayHaveChanged ? $0.version : nil }
        default: []
        }
    }
}

extension CacheAnswer {
    /// False when nothing was changed for certain. A count of zero may be INCR's, so it says nothing.
    fileprivate var mayHaveChanged: Bool {
        switch self {
        case .done, .number: true
        case .count(let count): count != 0
        case .value(_, let wasApplied): wasApplied
        case .notDone, .refused: false
        }
    }
}
