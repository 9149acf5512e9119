// SPDX-License-Identifier: Apache-2.0
import Memory
import Testing

@Suite("Redis addresses")
struct RedisAddressTests {
    @Test("every form of a URL is read")
    func forms() throws {
        let plain = try RedisAddress("redis://cache.example")
        #expect(plain.hosts == [RedisAddress.Host("cache.example", 6379)])
        #expect(!plain.isCluster && !plain.usesTLS && plain.user == nil && plain.password == nil)

        let full = try RedisAddress("rediss://app:p%40ss%3a%2F@10.0.0.1:7000/0")
        #expect(full.hosts == [RedisAddress.Host("10.0.0.1", 7000)] && full.usesTLS)
        #expect(full.user == "app" && full.password == "p@ss:/")

        let cluster = try RedisAddress("redis+cluster://:secret@a:1,b,[::1]:3/")
        #expect(cluster.isCluster && cluster.user == nil && cluster.password == "secret")
        #expect(
            cluster.hosts == [RedisAddress.Host("a", 1), RedisAddress.Host("b", 6379), RedisAddress.Host("::1", 3)]
        )
        #expect(try RedisAddress("rediss+cluster://a").usesTLS)
        // The last at sign ends the password: people forget to encode those before it.
        #expect(try RedisAddress("redis://u:a@b@host").password == "a@b")
    }

    @Test("a bad URL is refused with its reason")
    func refusals() {
        let cases: [(String, RedisAddressError)] = [
            ("", .scheme("…")), ("cache:6379", .scheme("cache")), ("http://cache", .scheme("http")),
            ("redis:cache", .scheme("redis")), ("redis://", .noHost), ("redis://:6379", .noHost),
            ("redis+cluster://a,,b", .noHost), ("redis://a,b", .severalHosts), ("redis://a:", .port("")),
            ("redis://a:0", .port("0")), ("redis://a:65536", .port("65536")), ("redis://a:x", .port("x")),
            ("redis://a:+1", .port("+1")), ("redis://::1", .noHost), ("redis://1::2", .brackets("1::2")),
            ("redis://[::1", .brackets("[::1")), ("redis://[::1]x", .brackets("[::1]x")),
            ("redis://[a]", .brackets("[a]")), ("redis://secret@a", .noPassword), ("redis://u:@a", .noPassword),
            ("redis://u:%4@a", .percent("password")), ("redis://u%zz:p@a", .percent("user")),
            ("redis://u:%ff@a", .percent("password")), ("redis://a/1", .database("1")),
            ("redis://a/0/0", .database("0/0")), ("redis://a?db=0", .parameters), ("redis://a/0#x", .parameters),
        ]
        for (url, error) in cases { #expect(throws: error, "\(url)") { try RedisAddress(url) } }
    }

    @Test("no text shows a password")
    func secrets() throws {
        #expect("\(try RedisAddress("rediss+cluster://u:hush@a:1,[::1]:2"))" == "rediss+cluster://u:***@a:1,[::1]:2")
        #expect("\(try RedisAddress("redis://a"))" == "redis://a:6379")
        for url in ["redis://u:hush@a:x", "hush", "redis://hush@a", "redis://u:hush%@a"] {
            #expect(throws: RedisAddressError.self) { try RedisAddress(url) }
            do { _ = try RedisAddress(url) } catch { #expect(!"\(error)".contains("hush"), "\(url): \(error)") }
        }
    }
}
