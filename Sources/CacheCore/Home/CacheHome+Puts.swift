// SPDX-License-Identifier: Apache-2.0
import Primitives

/// What owners save, and lines that nodes have let go of.
extension CacheHome {
    mutating func put(
        _ gid: UInt64,
        _ reason: PutReason,
        _ data: LineData,
        _ work: HomeWork,
        _ key: CacheKey,
        _ line: inout DirectoryLine,
        _ current: CacheCurrent,
        _ context: HomeContext,
        _ effects: inout HomeEffects
    ) {
        // An owner's versions share the index of the logged one that they follow. So nobody has written since if the
        // log still has that one, or an earlier write of the same owner.
        // The memory (Redis) may have let it expire meanwhile, and then the word of the line's only owner counts.
        let isForgotten = context.state.store.isWrittenBack && !context.state.holds(key) && current.value == nil
        let isOwners = isForgotten && line.isSilent && line.gid(of: work.from) == gid
        let isDescendant = data.version.index == current.version.index || isOwners
        guard isDescendant, data.version > current.version || isOwners else {
            if !isDescendant { statistics.staleMessages += 1 }
            if reason == .evict, line.gid(of: work.from) == gid { line.drop(work.from) }
            effects.send.append((work.from, .putDone(key, gid: gid, data.version, isStored: isDescendant)))
            return conclude(work)
        }
        statistics.writeBacks += 1
        change(.persist([CacheKeyData(key, data)]), work, key, &line, current, context, &effects)
    }

    /// A line that a member let go of. Only the number of its latest grant will do: an older hint may have been
    /// overtaken by a newer grant.
    mutating func hint(_ key: CacheKey, _ gid: UInt64, _ from: CacheMember) {
        guard var line = directory.removeValue(forKey: key) else { return }
        defer { directory[key] = line.isIdle ? nil : line }
        guard line.transaction == nil, let granted = line.gid(of: from),
            granted == gid || leavesOut(.hintsWithoutNumber)
        else {
            statistics.staleMessages += 1
            return
        }
        line.drop(from)
    }
}
