// SPDX-License-Identifier: Apache-2.0
import CacheCore
import NIOCore

extension AsyncRequests {
    /// The same for the cache. What the node may answer from its own memory is no call.
    package func perform(_ request: CacheRequest) async -> CacheResult {
        let loop = nextLoop()
        let (cache, timeout) = (cache, timeout)
        return await withCheckedContinuation { continuation in
            loop.execute {
                guard let port = cache(loop) else {
                    return continuation.resume(returning: .failed(RefusalText(CacheFailure.disabled)))
                }
                if case .read(let key) = request, let read = port.held(key) {
                    return continuation.resume(returning: .read(read))
                }
                CacheService(port, timeout: timeout).perform(request) { continuation.resume(returning: $0) }
            }
        }
    }

    /// Nil: there is no cache.
    func cacheStatistics() async -> CacheStatistics? {
        let loop = nextLoop()
        let cache = cache
        return await withCheckedContinuation { continuation in
            loop.execute { continuation.resume(returning: cache(loop)?.statistics) }
        }
    }
}
