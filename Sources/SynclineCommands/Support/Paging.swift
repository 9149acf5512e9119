// SPDX-License-Identifier: Apache-2.0

/// Lists that nodes give out page by page.
enum Paging {
    /// Asks for pages until there is no more, or `limit` entries are there.
    ///
    /// - Parameter page: is given the cursor and how many entries are wanted at most, and returns them with the cursor
    ///   of the next one; 0 is the first page's, and comes with the last.
    static func collect<Entry, Failure: Error>(
        limit: Int,
        _ page: (_ cursor: UInt64, _ count: Int) async throws(Failure) -> ([Entry], UInt64)
    ) async throws(Failure) -> (entries: [Entry], hasMore: Bool) {
        var found: [Entry] = []
        var cursor: UInt64 = 0
        repeat {
            let (entries, next) = try await page(cursor, min(limit - found.count, 1000))
            found += entries
            cursor = next
        } while cursor != 0 && found.count < limit
        return (found, cursor != 0)
    }
}
