import Testing

@testable import Settings

/// What holds for each key of the table; a key without a sample here fails the suite.
@Suite struct EveryKeyTests {
    /// A value other than the default, as the file has it and as a variable has it.
    struct Sample: Sendable {
        let toml: String
        let text: String

        init(_ toml: String, _ text: String) {
            self.toml = toml
            self.text = text
        }

        static func quoted(_ text: String) -> Sample { Sample("\"\(text)\"", text) }
        static func list(_ items: String...) -> Sample {
            Sample("[" + items.map { "\"\($0)\"" }.joined(separator: ", ") + "]", items.joined(separator: ","))
        }
        static func number(_ number: Int) -> Sample { Sample("\(number)", "\(number)") }
    }

    static let samples: [String: Sample] = [
        "source.url": .quoted("postgresql://app:pw@db:5433/shop?sslmode=require"),
        "source.url_file": .quoted("/k/url"),
        "source.cast_url_file": .quoted("/k/url"),
        "source.slot": .quoted("other_1"),
        "source.publication": .quoted("Other one"),
        "source.tables": .list("public.a", "sales.*"),
        "source.failover": Sample("false", "false"),
        "source.streaming": .quoted("off"),
        "source.wal_sender_timeout": .quoted("2500ms"),
        "source.silence_limit": .quoted("1h"),
        "transport.transport": .quoted("nats"),
        "transport.nats.url": .quoted("tls://u:pw@a:4222, nats://[::1]:4223"),
        "transport.nats.stream_name": .quoted("s-1"),
        "transport.nats.subject_prefix": .quoted("a.b.c"),
        "transport.nats.consumer_name": .quoted(""),
        "transport.nats.credentials_file": .quoted("/k/creds"),
        "transport.nats.nkey_seed_file": .quoted("/k/seed"),
        "transport.nats.user": .quoted("u"),
        "transport.nats.password_file": .quoted("/k/password"),
        "transport.nats.token_file": .quoted("/k/token"),
        "transport.nats.tls.ca_file": .quoted("/k/ca"),
        "transport.nats.tls.certificate_file": .quoted("/k/certificate"),
        "transport.nats.tls.key_file": .quoted("/k/key"),
        "transport.nats.jetstream.max_bytes": .quoted("3GiB"),
        "transport.nats.jetstream.max_age_days": .number(0),
        "transport.nats.jetstream.max_msgs": .number(1_000_000),
        "transport.nats.jetstream.dedup_window_minutes": .number(60),
        "transport.nats.jetstream.ack_wait_secs": .number(1),
        "transport.nats.jetstream.max_deliver": .number(-1),
        "transport.nats.jetstream.replicas": .number(3),
        "events.format": .quoted("cloudevents"),
        "events.subject": .quoted("{prefix}.{schema}.{column:a.b}.{operation}"),
        "events.table_prefixes": .list("tb_", "t_"),
        "events.exclude": .list("public.a", "*.b?:DELETE"),
        "events.message_prefixes": .list(),
        "events.on_poison": .quoted("reference"),
        "events.casts": .list("public.mood"),
        "events.mask_key_file": .quoted("/k/mask"),
        "events.entities": Sample("{ \"public.tb_x\" = \"X\" }", #"{"public.tb_x":"X"}"#),
        "events.identity": Sample("{ \"public.tb_x\" = [\"a\", \"b\"] }", #"{ "public.tb_x": ["a", "b"] }"#),
        "events.columns.exclude": Sample("{ \"public.tb_x\" = [\"a\"] }", #"{"public.tb_x":["a"]}"#),
        "events.columns.mask": Sample("{ \"public.tb_x\" = { \"b\" = \"hmac\", \"c\" = \"text:\" } }", #"{"public.tb_x":{"b":"hmac","c":"text:"}}"#),
        "delivery.atomic": .quoted("off"),
        "delivery.in_flight_messages": .number(1),
        "delivery.in_flight_bytes": .quoted("512KiB"),
        "delivery.ack_timeout": .quoted("1m"),
        "delivery.checkpoint_interval": .quoted("50ms"),
        "delivery.shutdown_timeout": .quoted("1m"),
        "replay.window": .quoted("0"),
        "replay.window_bytes": .number(1_000_000),
        "backfill.on_first_start": .list("public.a", "sales.*"),
        "backfill.url": .quoted("postgresql://reader:pw@db:5433/shop?sslmode=require"),
        "backfill.url_file": .quoted("/k/url"),
        "backfill.rate": .number(20_000),
        "backfill.max_lag": .quoted("256MiB"),
        "http.listen": .quoted("[::1]:0"),
        "http.ready_max_lag_bytes": .quoted("1GiB"),
        "log.level": .quoted("trace"),
        "log.format": .quoted("json"),
        "log.termination_file": .quoted("/dev/termination-log"),
        "observer_worker.max_concurrency": Sample("7", "7"),
        "observer_worker.ordered": Sample("false", "false"),
        "observer_worker.database": Sample("true", "true"),
        "observer_worker.database_url": .quoted("postgresql://worker:pw@db:5433/shop?sslmode=require"),
        "observer_worker.database_url_file": .quoted("/k/url"),
        "observer_worker.allow_private_hosts": Sample("true", "true"),
        "observer_worker.ca_file": .quoted("/k/ca"),
        "observer_worker.shutdown_timeout": .quoted("1m"),
        "observer_worker.listen": .quoted("[::1]:0"),
    ]

    /// Keys that take others along.
    static let partners: [String: [String: String]] = [
        "events.casts": ["source.cast_url_file": "/k/url"],
        "transport.nats.user": ["transport.nats.password_file": "/k/password"],
        "transport.nats.password_file": ["transport.nats.user": "u"],
        "transport.nats.tls.certificate_file": ["transport.nats.tls.key_file": "/k/key"],
        "transport.nats.tls.key_file": ["transport.nats.tls.certificate_file": "/k/certificate"],
        "events.columns.mask": ["events.mask_key_file": "/k/mask"],
    ]

    /// Keys of which this version takes the default only.
    static let unchangeable: Set = [
        "source.streaming", "transport.transport", "delivery.atomic",
    ]

    static let files = Dictionary(
        uniqueKeysWithValues: ["creds", "seed", "password", "token", "ca", "certificate", "key", "mask"].map {
            ("/k/\($0)", "x")
        }
            + [("/k/url", "postgres://file/x")])

    private func loading(_ path: String, _ text: String? = nil) -> Loading {
        Loading(text, flags: Self.partners[path] ?? [:], files: Self.files)
    }

    @Test func hasASample() {
        #expect(Set(Self.samples.keys) == Set(ConfigurationKey.all.map(\.path)))
        #expect(Set(ConfigurationKey.all.flatMap(\.variables)).count == ConfigurationKey.all.flatMap(\.variables).count)
    }

    @Test(arguments: ConfigurationKey.all.map(\.path))
    func givesTheSameFromFileEnvironmentAndFlag(path: String) throws {
        let sample = try #require(Self.samples[path])
        let byFile = try loading(path, "\(path) = \(sample.toml)\n").load()
        #expect(byFile.origins[path] == .file("slotstream.toml", line: 1))
        // Some partners are refused alone.
        let other = try (try? loading(path).load())?.values ?? Loading().values
        #expect((byFile.values == other) == Self.unchangeable.contains(path))

        let variable = ConfigurationKey.variable(path)
        let text = sample.text
        var byEnvironment = loading(path)
        byEnvironment.environment[variable] = text
        #expect(try byEnvironment.values == byFile.values)
        #expect(try byEnvironment.load().origins[path] == .environment(variable))
        let byVariable = loading(path, "\(path) = \"${V}\"\n")
        #expect(try Loading.init(from: byVariable, environment: ["V": text]).values == byFile.values)
        if !["source.url", "transport.nats.url", "backfill.url", "observer_worker.database_url"].contains(path) {
            var byFlag = loading(path)
            byFlag.flags[path] = text
            #expect(try byFlag.values == byFile.values)
        }
    }

    @Test(arguments: ConfigurationKey.all.map(\.path))
    func refusesAValueOfNoType(path: String) throws {
        for value in ["07:32:00", "1.5", "[[1]]", "{ a.b.c.d.e.f = 1 }"] {
            let complaints = loading(path, "\(path) = \(value)\n").complaints
            #expect(complaints.contains { $0.hasPrefix("slotstream.toml:1: \(path) = ") }, "\(value): \(complaints)")
        }
    }

    @Test(arguments: ConfigurationKey.all.map(\.path))
    func survivesBeingShownAndReadAgain(path: String) throws {
        // What holds secrets is not shown, and a URL is not shown beside its file.
        guard !["source.url", "source.url_file", "transport.nats.url", "backfill.url", "observer_worker.database_url"].contains(path) else { return }
        let sample = try #require(Self.samples[path])
        let loaded = try loading(path, "\(path) = \(sample.toml)\n").load()
        let again = try Loading(loaded.toml, files: Self.files).load()
        #expect(
            again.toml.split(separator: "\n").map(Self.withoutOrigin)
                == loaded.toml.split(separator: "\n").map(Self.withoutOrigin))
        var values = again.values
        values.nats.urls = loaded.values.nats.urls
        #expect(values == loaded.values)
    }

    private static func withoutOrigin(_ line: Substring) -> Substring {
        line.firstRange(of: "   # ").map { line[..<$0.lowerBound] } ?? line
    }
}

extension Loading {
    fileprivate init(from other: Loading, environment: [String: String]) {
        self = other
        self.environment = environment
    }
}
