// SPDX-License-Identifier: Apache-2.0
package import Memory
import Primitives

/// Redis as the memory of the cache, as the settings say it.
package struct RedisSettings: Sendable {
    /// `memory` is redis.
    package var isMemory = false
    /// As it was written; nil: it was not.
    var url: String?
    var password: String?
    var timeout = Interval.milliseconds(1_000)
    package var tls = RedisConfiguration.TLS()

    init() {}

    init(_ values: SettingsResolution) {
        isMemory = values.text("memory") == "redis"
        url = values.text("redis-url")
        password = values.text("redis-password")
        timeout = values.interval("redis-timeout-ms") ?? timeout
        tls.authorityFile = values.text("redis-tls-ca")
        tls.certificateFile = values.text("redis-tls-cert")
        tls.keyFile = values.text("redis-tls-key")
        tls.verifiesServer = values.boolean("redis-tls-verify") ?? true
    }

    /// Nil: Redis is not the memory, or the address cannot be read, which `problems` says.
    package var address: RedisAddress? {
        guard isMemory, var address = url.flatMap({ try? RedisAddress($0) }) else { return nil }
        address.password = password ?? address.password
        return address
    }

    package var configuration: RedisConfiguration {
        var configuration = RedisConfiguration(seed: .random(in: .min ... .max))
        configuration.connectTimeout = timeout
        configuration.handshakeTimeout = timeout * 2
        configuration.commandTimeout = timeout
        configuration.tls = tls
        return configuration
    }

    var problems: [SettingProblem] {
        guard isMemory else {
            return url == nil && password == nil
                ? []
                : [
                    SettingProblem(
                        subject: "memory",
                        cause: "an address or password of Redis is set, and the cache's memory is the cluster",
                        remedy: "use --memory redis, or leave redis-url and redis-password out"
                    )
                ]
        }
        guard let url else {
            return [
                SettingProblem(
                    subject: "redis-url",
                    cause: "the cache's memory is Redis, and nothing says where it is",
                    remedy: "use --redis-url redis://HOST:6379, or --memory cluster"
                )
            ]
        }
        var problems: [SettingProblem] = []
        do throws(RedisAddressError) {
            let address = try RedisAddress(url)
            if address.password != nil, password != nil {
                problems.append(
                    SettingProblem(
                        subject: "redis-password",
                        cause: "redis-url has a password already",
                        remedy: "leave one of the two out"
                    )
                )
            }
            problems += tlsProblems(address)
        } catch {
            problems.append(
                SettingProblem(
                    subject: "redis-url",
                    cause: "\(error)",
                    remedy: "write it as redis://HOST:6379 or redis+cluster://HOST:6379,HOST:6379"
                )
            )
        }
        return problems
    }

    private func tlsProblems(_ address: RedisAddress) -> [SettingProblem] {
        if (tls.certificateFile == nil) != (tls.keyFile == nil) {
            return [
                SettingProblem(
                    subject: "redis-tls-cert",
                    cause: "a certificate needs its key, and a key its certificate",
                    remedy: "set both redis-tls-cert and redis-tls-key, or neither"
                )
            ]
        }
        guard !address.usesTLS, tls != RedisConfiguration.TLS() else { return [] }
        return [
            SettingProblem(
                subject: "redis-url",
                cause: "settings of TLS are given, and the address is one without TLS",
                remedy: address.isCluster ? "use rediss+cluster://" : "use rediss://"
            )
        ]
    }
}
