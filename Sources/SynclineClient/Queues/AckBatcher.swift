// SPDX-License-Identifier: Apache-2.0

extension Queue {
    /// Settles each of these, with one command where that can be: what became of every one is known afterwards.
    func settleEach(
        _ verb: String,
        _ receipts: [String],
        _ options: [String] = []
    ) async -> [(receipt: String, result: Result<Void, SynclineError>)] {
        let all = await settled(verb, receipts, options)
        // A refusal of several is of some of them only, and does not say of which.
        guard receipts.count > 1, case .failure(let error) = all, error.code == .stale else {
            return receipts.map { ($0, all) }
        }
        var results: [(receipt: String, result: Result<Void, SynclineError>)] = []
        for receipt in receipts { results.append((receipt, await settled(verb, [receipt], options))) }
        return results
    }

    private func settled(
        _ verb: String,
        _ receipts: [String],
        _ options: [String]
    ) async -> Result<Void, SynclineError> {
        do throws(SynclineError) {
            _ = try await settle(verb, receipts, options)
            return .success(())
        } catch {
            return .failure(error)
        }
    }
}

/// Sends acknowledgements that come while others are under way together. One command is under way at a time.
actor AckBatcher {
    private typealias Waiter = CheckedContinuation<Result<Void, SynclineError>, Never>

    static let limit = 1024

    private let queue: Queue
    private var waiting: [(receipt: String, waiter: Waiter)] = []
    private var isSending = false

    init(queue: Queue) { self.queue = queue }

    func ack(_ receipt: String) async throws(SynclineError) {
        let result = await withCheckedContinuation { (waiter: Waiter) in
            waiting.append((receipt, waiter))
            guard !isSending else { return }
            isSending = true
            Task { await send() }
        }
        try result.get()
    }

    private func send() async {
        while !waiting.isEmpty {
            let batch = waiting.prefix(Self.limit)
            waiting.removeFirst(batch.count)
            let results = await queue.settleEach("QUEUE.ACK", batch.map(\.receipt))
            for (entry, answer) in zip(batch, results) { entry.waiter.resume(returning: answer.result) }
        }
        isSending = false
    }
}
