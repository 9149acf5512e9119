// SPDX-License-Identifier: Apache-2.0
import CacheCore
import Testing

@Suite("Versions")
struct VersionTests {
    @Test("a version reads back from its text, and nothing else does")
    func text() {
        for version in [CacheVersion(index: 1205), CacheVersion(index: 0), CacheVersion(index: 7, minor: 3)] {
            #expect(CacheVersion(version.description) == version)
        }
        for text in ["", ".", "1.", "1.0", "01", "1.2.3", "-1", "x", "1.4294967296"] {
            #expect(CacheVersion(text) == nil, "\(text)")
        }
    }

    @Test("versions rise with the log index first, then with unlogged writes")
    func order() {
        #expect(CacheVersion(index: 5, minor: 9) < CacheVersion(index: 6))
        #expect(CacheVersion(index: 5) < CacheVersion(index: 5, minor: 1))
    }
}
