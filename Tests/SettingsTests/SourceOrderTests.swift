import Settings
import Testing

@Suite struct SourceOrderTests {
    @Test func takesTheDefaultsWhereNothingIsSet() throws {
        let loaded = try Loading().load()
        #expect(loaded.values == Configuration())
        #expect(loaded.file == nil)
        #expect(loaded.origins.values.allSatisfy { $0 == .defaultValue })
        #expect(loaded.values.nats.urls.map(\.value) == ["nats://localhost:4222"])
        #expect(loaded.values.source.url.value == "")
    }

    @Test func aFlagBeatsTheEnvironmentThatBeatsTheFileThatBeatsTheDefault() throws {
        var loading = Loading("[source]\nslot = \"from_file\"\n")
        #expect(try loading.load().origins["source.slot"] == .file("slotstream.toml", line: 2))
        #expect(try loading.values.source.slot == "from_file")
        loading.environment["SLOTSTREAM_SOURCE_SLOT"] = "from_environment"
        #expect(try loading.load().origins["source.slot"] == .environment("SLOTSTREAM_SOURCE_SLOT"))
        #expect(try loading.values.source.slot == "from_environment")
        loading.flags["source.slot"] = "from_flag"
        #expect(try loading.load().origins["source.slot"] == .flag)
        #expect(try loading.values.source.slot == "from_flag")
    }

    @Test func readsTheNamedFileAndNoOther() throws {
        var loading = Loading("[source]\nslot = \"found\"\n", files: ["/etc/s.toml": "[source]\nslot = \"named\"\n"])
        loading.named = "/etc/s.toml"
        #expect(try loading.values.source.slot == "named")
        #expect(try loading.load().file == "/etc/s.toml")
        loading.named = "absent.toml"
        #expect(loading.complaints == ["absent.toml: no such file"])
    }

    @Test func prefersItsOwnFileToFraiseQLs() throws {
        let other = ["/w/fraiseql-observer.toml": "[source]\nslot = \"theirs\"\n"]
        #expect(try Loading(files: other).values.source.slot == "theirs")
        #expect(try Loading("[source]\nslot = \"ours\"\n", files: other).values.source.slot == "ours")
    }

    @Test func doesNotPassOverAFileThatCannotBeRead() {
        let other = ["/w/fraiseql-observer.toml": "[source]\nslot = \"theirs\"\n"]
        #expect(Loading("forbidden", files: other).complaints == ["slotstream.toml: cannot be read: permission denied"])
    }

    @Test func takesFraiseQLsVariablesUnlessItsOwnAreSet() throws {
        var loading = Loading(
            "[transport.nats]\nstream_name = \"file\"\n",
            environment: [
                "FRAISEQL_NATS_URL": "nats://f:1", "FRAISEQL_NATS_STREAM_NAME": "f",
                "FRAISEQL_NATS_SUBJECT_PREFIX": "f.m",
                "FRAISEQL_NATS_CONSUMER_NAME": "fc", "FRAISEQL_NATS_DEDUP_WINDOW_MINUTES": "7",
                "FRAISEQL_NATS_MAX_AGE_DAYS": "8",
                "FRAISEQL_NATS_MAX_MSGS": "9", "FRAISEQL_NATS_MAX_BYTES": "10", "FRAISEQL_NATS_ACK_WAIT_SECS": "11",
                "FRAISEQL_NATS_MAX_DELIVER": "12", "FRAISEQL_NATS_RUN_EXECUTORS": "true",
            ])
        let values = try loading.values
        #expect(values.nats.urls.map(\.value) == ["nats://f:1"])
        #expect(values.nats.streamName == "f" && values.nats.subjectPrefix == "f.m" && values.nats.consumerName == "fc")
        #expect(values.jetStream.duplicateWindow == .seconds(420) && values.jetStream.maxAge == .seconds(8 * 86_400))
        #expect(values.jetStream.maxMessages == 9 && values.jetStream.maxBytes == 10)
        #expect(values.jetStream.ackWait == .seconds(11) && values.jetStream.maxDeliver == 12)
        loading.environment["SLOTSTREAM_TRANSPORT_NATS_STREAM_NAME"] = "ours"
        #expect(try loading.values.nats.streamName == "ours")
    }

    @Test func asksForDatabaseURLOnlyWhereNothingElseNamesADatabase() throws {
        var loading = Loading(environment: ["DATABASE_URL": "postgres://d/x"])
        #expect(try loading.values.source.url.value == "postgres://d/x")
        #expect(try loading.load().origins["source.url"] == .environment("DATABASE_URL"))
        loading.files["/w/slotstream.toml"] = "source.url = \"host=h\""
        #expect(try loading.values.source.url.value == "host=h")
        loading.files = ["/w/slotstream.toml": "source.url_file = \"u\"", "/w/u": "postgres://file/x\n"]
        #expect(try loading.values.source.url.value == "postgres://file/x")
        #expect(try loading.load().origins["source.url"] == .contents(of: "u"))
    }

    @Test func doesNotLookAtAValueThatAStrongerSourceOverrides() throws {
        let loading = Loading("source.slot = \"${UNSET}\"", environment: ["SLOTSTREAM_SOURCE_SLOT": "mine"])
        #expect(try loading.values.source.slot == "mine")
    }

    @Test func namesTheUnusedKeysOfFraiseQL() throws {
        let text = """
            channel_capacity = 1000
            max_concurrency = 50
            backlog_alert_threshold = 500
            shutdown_timeout = "30s"
            max_dlq_size = 10
            [transport]
            transport = "nats"
            run_bridge = true
            run_executors = false
            [transport.bridge]
            batch_size = "${NOT_EVEN_SET}"
            [redis]
            url = "redis://:hunter2@h"
            [performance]
            enable_dedup = true
            [observers.a]
            x = 1
            """
        #expect(
            try Loading(text).load().ignoredKeys == [
                "backlog_alert_threshold", "channel_capacity", "max_concurrency", "max_dlq_size",
                "performance",
                "redis", "shutdown_timeout", "transport.bridge", "transport.run_bridge", "transport.run_executors",
            ])
    }
}
