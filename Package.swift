// swift-tools-version: 6.2
// SPDX-License-Identifier: Apache-2.0
import PackageDescription

// What every target is compiled with. `SYNCLINE_STRICT=1` (set by `make check` and CI) turns warnings into errors.
let common: [SwiftSetting] =
    [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
    ]
    + (Context.environment["SYNCLINE_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : [])
    // Set by `make test`: the tests of a module may look inside it, in release builds too.
    + (Context.environment["SYNCLINE_TESTING"] == "1" ? [.unsafeFlags(["-enable-testing"])] : [])

// The server's targets, in release builds: each loop owns what it changes and debug builds check it, so the dynamic
// exclusivity checks are left out. SwiftPM refuses unsafe flags in a dependency, so nothing that the public product
// `SynclineClient` reaches may carry them.
let server: [SwiftSetting] =
    common + [
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
    ]

// Without this the generic containers of Primitives are not specialised in other targets: three to five times slower
// (docs/ARCHITECTURE.md). On more than one of our targets the link fails with duplicate symbols.
let generic: [SwiftSetting] = server + [.unsafeFlags(["-enable-cmo-everything"], .when(configuration: .release))]

// Plants classic bugs for the simulator to find; only `make test` builds it, in a folder of its own.
let planted: [SwiftSetting] = [.define("PLANTED_BUGS", .when(traits: ["PlantedBugs"]))]

// The rules of the coherence protocol can be left out, one at a time, in every build for tests: that each is needed is
// shown by exploring small worlds, which only the tests do.
let removable: [SwiftSetting] =
    Context.environment["SYNCLINE_TESTING"] == "1" ? [.define("PLANTED_BUGS")] : planted

// Calls into the Swift runtime are direct, not through a table: 7 % more lock pairs per second, and a program that runs
// where no Swift is. The libraries are those that the static Foundation needs and does not name itself.
let staticRuntime: [LinkerSetting] = [
    .unsafeFlags(["-static-stdlib"], .when(platforms: [.linux])),
    .linkedLibrary("_FoundationCollections", .when(platforms: [.linux])),
    .linkedLibrary("_FoundationCShims", .when(platforms: [.linux])),
    .linkedLibrary("stdc++", .when(platforms: [.linux])),
]

let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let signals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let histogram = Target.Dependency.product(name: "Histogram", package: "hdrhistogram-swift")

let package = Package(
    name: "syncline",
    products: [
        .library(name: "SynclineClient", targets: ["SynclineClient"]),
        .executable(name: "syncline", targets: ["syncline"]),
        .executable(name: "syncline-sim", targets: ["syncline-sim"]),
    ],
    traits: [
        .trait(name: "PlantedBugs", description: "Test builds only: compile in bugs that the simulator must find.")
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-configuration", exact: "1.4.0", traits: []),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", exact: "0.2.0"),
    ],
    targets: [
        // Cores: pure values. No I/O, clock, randomness, Foundation or async.
        .target(name: "Primitives", swiftSettings: generic + planted),
        .target(name: "RaftCore", dependencies: ["Primitives"], swiftSettings: server + planted),
        .target(name: "LockCore", dependencies: ["Primitives"], swiftSettings: server + planted),
        .target(name: "QueueCore", dependencies: ["Primitives"], swiftSettings: server + planted),
        .target(name: "CacheCore", dependencies: ["Primitives"], swiftSettings: server + removable),
        .target(name: "PlacementCore", dependencies: ["Primitives"], swiftSettings: server),
        .target(
            name: "Replica",
            dependencies: ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "PlacementCore"],
            swiftSettings: server + planted
        ),

        // Edges: each implements one port.
        .target(name: "CChecksum", cSettings: [.unsafeFlags(["-O2"])]),
        .target(
            name: "Wire",
            dependencies: ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "CChecksum"],
            swiftSettings: server
        ),
        .target(name: "RESP", dependencies: [nioCore], swiftSettings: common),
        .target(name: "Storage", dependencies: ["Primitives", "RaftCore", "Wire", "CChecksum"], swiftSettings: server),
        .target(
            name: "Transport",
            dependencies: ["Primitives", "RaftCore", "Replica", "Wire", "Telemetry", nioCore, nioPosix, logging],
            swiftSettings: server
        ),
        .target(
            name: "Memory",
            dependencies: ["Primitives", "CacheCore", "RESP", nioCore, nioPosix, nioSSL, logging],
            swiftSettings: server
        ),
        .target(name: "FaultProxy", dependencies: ["Primitives", nioCore, nioPosix], swiftSettings: common),
        .target(name: "Telemetry", dependencies: ["Primitives", logging], swiftSettings: server),
        .target(
            name: "Gateway",
            dependencies: [
                "Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "RESP", "Telemetry", nioCore,
                nioPosix, logging,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "HTTPTypes", package: "swift-http-types"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOHTTPTypes", package: "swift-nio-extras"),
            ],
            swiftSettings: server
        ),
        .target(
            name: "Node",
            dependencies: [
                "Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "PlacementCore", "Replica", "Wire",
                "Storage", "Transport", "Memory", "Telemetry", "Gateway", nioCore, nioPosix, logging, lifecycle,
                signals,
                .product(name: "Hummingbird", package: "hummingbird"),
                .product(name: "Configuration", package: "swift-configuration"),
            ],
            swiftSettings: server
        ),

        // Clients.
        .target(name: "SynclineClient", dependencies: ["RESP", nioCore, nioPosix], swiftSettings: common),
        .target(
            name: "SynclineCommands",
            dependencies: [
                "Node", "Gateway", "Telemetry", "Primitives", "Replica", "RESP", "SynclineClient", arguments,
                logging, lifecycle, histogram, nioCore, nioPosix,
            ],
            swiftSettings: server
        ),
        .executableTarget(
            name: "syncline",
            dependencies: ["SynclineCommands"],
            swiftSettings: server,
            linkerSettings: staticRuntime
        ),

        // Proof.
        .target(name: "ScriptTesting", dependencies: ["Primitives"], swiftSettings: common),
        .target(
            name: "Simulator",
            dependencies: ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "Wire"],
            swiftSettings: server + planted
        ),
        .executableTarget(
            name: "syncline-sim",
            dependencies: ["Simulator", "Primitives", arguments],
            swiftSettings: server + planted
        ),

        // Tests, from the cores outwards.
        .testTarget(name: "PrimitivesTests", dependencies: ["Primitives"], swiftSettings: common),
        .testTarget(name: "CChecksumTests", dependencies: ["CChecksum"], swiftSettings: common),
        .testTarget(name: "RaftCoreTests", dependencies: ["RaftCore", "Primitives"], swiftSettings: common),
        .testTarget(
            name: "LockCoreTests",
            dependencies: ["LockCore", "Primitives", "ScriptTesting"],
            exclude: ["Scripts"],
            swiftSettings: common
        ),
        .testTarget(
            name: "QueueCoreTests",
            dependencies: ["QueueCore", "Primitives", "ScriptTesting"],
            exclude: ["Scripts"],
            swiftSettings: common
        ),
        .testTarget(
            name: "CacheCoreTests",
            dependencies: ["CacheCore", "Primitives"],
            swiftSettings: common + removable
        ),
        .testTarget(
            name: "PlacementCoreTests",
            dependencies: ["PlacementCore", "Primitives", "Replica"],
            swiftSettings: common
        ),
        .testTarget(
            name: "ReplicaTests",
            dependencies: ["Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "PlacementCore", "Replica"],
            swiftSettings: common
        ),
        .testTarget(
            name: "WireTests",
            dependencies: ["Wire", "Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica"],
            swiftSettings: common
        ),
        .testTarget(
            name: "StorageTests",
            dependencies: ["Storage", "Wire", "Primitives", "RaftCore"],
            swiftSettings: common
        ),
        .testTarget(
            name: "TelemetryTests",
            dependencies: ["Telemetry", "Primitives", logging],
            swiftSettings: common
        ),
        .testTarget(
            name: "TransportTests",
            dependencies: [
                "Transport", "FaultProxy", "Primitives", "RaftCore", "Replica", "Wire", "Telemetry", nioCore, nioPosix,
                logging,
            ],
            swiftSettings: common
        ),
        .testTarget(
            name: "MemoryTests",
            dependencies: [
                "Memory", "CacheCore", "Primitives", "RESP", "ClientTestSupport", nioCore, nioPosix, logging,
            ],
            swiftSettings: common
        ),
        .testTarget(name: "RESPTests", dependencies: ["RESP", nioCore], swiftSettings: common),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Gateway", "Primitives", "RaftCore", "LockCore", "QueueCore", "CacheCore", "Replica", "RESP", nioCore,
                nioPosix, logging, lifecycle,
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            exclude: ["Scripts"],
            swiftSettings: common
        ),
        .testTarget(
            name: "NodeTests",
            dependencies: [
                "Node", "CacheCore", "Memory", "PlacementCore", "Primitives", "RaftCore", "Storage", "Wire",
            ],
            swiftSettings: common
        ),
        .target(
            name: "ClientTestSupport",
            dependencies: ["RESP", nioCore, nioPosix],
            path: "Tests/ClientTestSupport",
            swiftSettings: common
        ),
        .testTarget(
            name: "SynclineClientTests",
            dependencies: ["SynclineClient", "RESP", "ClientTestSupport", nioCore, nioPosix],
            swiftSettings: common
        ),
        .testTarget(
            name: "CommandLineTests",
            dependencies: [
                "SynclineCommands", "ClientTestSupport", "Node", "SynclineClient", "RESP", nioCore, nioPosix, histogram,
                arguments,
            ],
            swiftSettings: common
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["Simulator", "syncline-sim", "CacheCore", "Primitives"],
            swiftSettings: common
        ),
        .testTarget(
            name: "ClusterTests",
            dependencies: ["FaultProxy", "Wire", "Primitives", "CacheCore", "Simulator", nioCore, nioPosix],
            exclude: ["python"],
            swiftSettings: common
        ),
        .testTarget(name: "TidyTests", swiftSettings: common),
    ],
    swiftLanguageModes: [.v6]
)
