
// swift-tools-version: 6.2
import PackageDescription

/// What every target of ours is compiled with.
///
/// Warnings are errors for our own modules only: a dependency's warning must not stop a build.
let strict: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

/// The data plane is also compiled without run-time exclusivity checks in release: every type on it is owned by one
/// thread, and the checks cost a call per access to a stored property of a class.
let dataPlane: [SwiftSetting] =
    strict + [
        .unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))
    ]

/// Each use of something that the compiler cannot prove safe says so. In the modules that live on C's pointers and on spans of bytes nearly every
/// line would: there it would tell a reader nothing.
let memorySafe: [SwiftSetting] = [.strictMemorySafety()]

/// Of the build, for `--version`: whoever builds says it, for the package manager would keep an old one.
let commit = Context.environment["SLOTSTREAM_COMMIT"] ?? ""

let package = Package(
    name: "slotstream",
    products: [
        .executable(name: "slotstream", targets: ["slotstream"]),
        .executable(name: "slotstream-observer", targets: ["slotstream-observer"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser.git", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-http-types.git", exact: "1.8.0", traits: []),
        .package(url: "https://github.com/apple/swift-log.git", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics.git", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio.git", exact: "2.101.2"),
        // Without its traits: its configuration support brings all of Foundation.
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", exact: "2.13.0"),
        .package(url: "https://github.com/LebJe/TOMLKit.git", exact: "0.6.0"),
    ],
    targets: [
        // The system libraries, each seen by one module only.
        .systemLibrary(name: "CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
        .systemLibrary(name: "CNats", pkgConfig: "libnats", providers: [.apt(["libnats-dev"])]),
        .systemLibrary(name: "CCrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
        .systemLibrary(name: "CCurl", pkgConfig: "libcurl", providers: [.apt(["libcurl4-openssl-dev"])]),

        // The pure core.
        .target(name: "WAL", swiftSettings: dataPlane + memorySafe),
        .target(name: "PGOutput", dependencies: ["WAL"], swiftSettings: dataPlane + memorySafe),
        .target(name: "Capture", dependencies: ["WAL", "PGOutput"], swiftSettings: dataPlane),

        // What observers are and what they make of events. Pure too, and of the streamer it knows the events' formats only.
        .target(name: "Observing", dependencies: ["Capture", "WAL"], swiftSettings: strict + memorySafe),

        // The two edges.
        .target(name: "PostgresReplication", dependencies: ["WAL", "CLibPQ"], swiftSettings: dataPlane),
        .target(name: "JetStreamPublishing", dependencies: ["CNats"], swiftSettings: dataPlane),

        // The observer worker's edge to web servers and mail servers.
        .target(name: "Outbound", dependencies: ["CCurl"], swiftSettings: strict),

        // Threads, clocks, and what the fault tests do to them.
        .target(name: "Threads", dependencies: ["WAL"], swiftSettings: dataPlane + memorySafe),

        // The rules of what was stored: what is known of it, where to go on, when to stop. Pure; of the edges it knows values only.
        .target(
            name: "History", dependencies: ["WAL", "PGOutput", "Capture", "PostgresReplication", "JetStreamPublishing"],
            swiftSettings: dataPlane + memorySafe),

        // Where they meet.
        .target(
            name: "Pipeline",
            dependencies: [
                "WAL", "PGOutput", "Capture", "PostgresReplication", "JetStreamPublishing", "Threads", "History",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Metrics", package: "swift-metrics"),
            ],
            swiftSettings: dataPlane),

        // The rim.
        .target(
            name: "Operations",
            dependencies: [
                "History", "Pipeline",
                .product(name: "HTTPTypes", package: "swift-http-types"),
                // Its server without its framework, which brings file systems and tracing.
                .product(name: "HummingbirdCore", package: "hummingbird"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            resources: [.embedInCode("Page/page.html"), .embedInCode("Page/page.css"), .embedInCode("Page/page.js")],
            swiftSettings: strict + memorySafe),
        .target(
            name: "Settings",
            dependencies: [
                "History", "Pipeline", "Capture", "PostgresReplication", "JetStreamPublishing", "CCrypto",
                .product(name: "TOMLKit", package: "TOMLKit"),
            ],
            swiftSettings: strict),
        // What the programs share between the shell and their commands.
        .target(
            name: "Console",
            dependencies: [
                "Capture", "CBuild", "History", "JetStreamPublishing", "Operations", "Pipeline", "Settings", "Threads", "WAL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .target(name: "CBuild", cSettings: [.define("SLOTSTREAM_COMMIT", to: "\"\(commit)\"")]),
        .executableTarget(
            name: "slotstream",
            dependencies: [
                "Capture", "Console", "History", "JetStreamPublishing", "Operations", "Pipeline", "PostgresReplication", "Settings", "Threads", "WAL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict,
            // Nothing is loaded into it that would look for its symbols: a tenth of what is resident after the start.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--no-export-dynamic"])]),

        // The observer worker: a program of its own, which the streamer has nothing of.
        .target(
            name: "ObserverWork",
            dependencies: [
                "Capture", "History", "JetStreamPublishing", "Observing", "Operations", "Outbound", "Pipeline", "PostgresReplication", "Settings",
                "Threads", "WAL",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .executableTarget(
            name: "slotstream-observer",
            dependencies: [
                "Capture", "Console", "History", "JetStreamPublishing", "Observing", "ObserverWork", "Operations", "Pipeline", "PostgresReplication",
                "Settings", "Threads", "WAL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict,
            linkerSettings: [.unsafeFlags(["-Xlinker", "--no-export-dynamic"])]),

        // Tests. What needs the whole program and both servers is in Tests/EndToEnd (Python, nats-py as the consumer).
        .testTarget(name: "WALTests", dependencies: ["WAL"], swiftSettings: strict),
        .testTarget(
            name: "PGOutputTests", dependencies: ["PGOutput", "WAL", "SeededRandom"], resources: [.copy("Vectors")],
            swiftSettings: strict),
        .target(name: "CMallocCounter", path: "Tests/CMallocCounter"),
        // PostgreSQL and nats-server as the suites start their own.
        .target(name: "PrivateServers", path: "Tests/PrivateServers", swiftSettings: strict),
        // Random numbers that a seed repeats.
        .target(name: "SeededRandom", path: "Tests/SeededRandom", swiftSettings: strict),
        // What both servers say, made up.
        .target(
            name: "HistoryFacts", dependencies: ["History", "Capture", "PostgresReplication", "WAL"], path: "Tests/HistoryFacts",
            swiftSettings: strict),
        // Messages of pgoutput written by hand.
        .target(name: "WireMessages", path: "Tests/WireMessages", swiftSettings: strict),
        .testTarget(
            name: "CaptureTests",
            dependencies: [
                "Capture", "PGOutput", "WAL", "CCrypto", "CMallocCounter", "PrivateServers", "SeededRandom", "WireMessages",
            ],
            swiftSettings: strict),
        .testTarget(name: "ObservingTests", dependencies: ["Observing", "Capture", "WAL", "SeededRandom"], swiftSettings: strict),
        // Nanoseconds and allocations a row, and the fuzzing of what reads values; in release, as it is shipped.
        .executableTarget(
            name: "stage-benchmark",
            dependencies: [
                "Capture", "JetStreamPublishing", "PGOutput", "WAL", "CMallocCounter", "SeededRandom", "WireMessages",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Benchmarks/Stages", swiftSettings: strict),
        // The streamer's own code against models of PostgreSQL and JetStream, in one thread, by a seed; in release, as it is shipped.
        .target(name: "CFibers", path: "Tests/CFibers"),
        .executableTarget(
            name: "simulation",
            dependencies: [
                "Capture", "History", "JetStreamPublishing", "PGOutput", "Pipeline", "PostgresReplication", "Threads", "WAL", "CFibers", "WireMessages",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/Simulation", exclude: ["README.md"], swiftSettings: strict),
        .testTarget(name: "SimulationTests", dependencies: ["simulation"], swiftSettings: strict),
        .testTarget(
            name: "PostgresReplicationTests", dependencies: ["PostgresReplication", "WAL", "PrivateServers"], swiftSettings: strict),
        .testTarget(name: "JetStreamPublishingTests", dependencies: ["JetStreamPublishing", "PrivateServers"], swiftSettings: strict),
        // A name server that hangs, in place of glibc's resolver.
        .target(name: "CSlowNames", path: "Tests/CSlowNames"),
        .testTarget(
            name: "OutboundTests", dependencies: ["Outbound", "CSlowNames", "PrivateServers", "SeededRandom"],
            resources: [.copy("mail_server.py")], swiftSettings: strict),
        .testTarget(
            name: "HistoryTests",
            dependencies: [
                "History", "Capture", "JetStreamPublishing", "PGOutput", "PostgresReplication", "WAL", "CMallocCounter", "HistoryFacts", "SeededRandom",
            ],
            swiftSettings: strict),
        .testTarget(name: "ThreadsTests", dependencies: ["Threads", "WAL"], swiftSettings: strict),
        .testTarget(
            name: "PipelineTests",
            dependencies: [
                "Pipeline", "Capture", "History", "JetStreamPublishing", "PGOutput", "PostgresReplication", "Threads", "WAL",
                "HistoryFacts", "PrivateServers", "SeededRandom",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "OperationsTests",
            dependencies: [
                "Operations", "History", "JetStreamPublishing", "Pipeline", "Threads", "WAL",
                .product(name: "CoreMetrics", package: "swift-metrics"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
            ],
            swiftSettings: strict),
        .testTarget(
            name: "ObserverWorkTests", dependencies: ["ObserverWork", "JetStreamPublishing", "Observing", "SeededRandom"], swiftSettings: strict),
        .testTarget(name: "SettingsTests", dependencies: ["Settings", "Pipeline", "Capture"], swiftSettings: strict),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "slotstream", "slotstream-observer", "Console", "Capture", "History", "JetStreamPublishing", "ObserverWork", "Operations", "PGOutput", "Pipeline", "PostgresReplication",
                "Settings", "Threads", "WAL",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),
    ],
    swiftLanguageModes: [.v6]
)
