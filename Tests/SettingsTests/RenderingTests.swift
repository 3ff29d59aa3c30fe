import FoundationEssentials
import Settings
import Testing

@Suite struct RenderingTests {
    private struct Document: Decodable {
        struct Value: Decodable {
            let key: String
            let origin: String
        }
        let schema: String
        let values: [Value]
    }

    private let loading = Loading(
        """
        [source]
        tables = ["public.a", "b.\\"c\\""]
        [events.entities]
        "public.tb_x" = "X"
        [events.identity]
        "public.tb_x" = ["id"]
        [delivery]
        checkpoint_interval = "250ms"
        """,
        flags: ["log.format": "json"],
        environment: [
            "DATABASE_URL": "postgres://app:hunter2@db/shop", "SLOTSTREAM_TRANSPORT_NATS_URL": "tls://t@a,tls://b:1",
        ])

    @Test func showsALineForEachKey() throws {
        #expect(
            try loading.load().toml == """
                source.url = "postgres://app:***@db/shop"   # env DATABASE_URL
                source.url_file = ""   # default
                source.cast_url_file = ""   # default
                source.slot = "fraiseql_events"   # default
                source.publication = "fraiseql_events"   # default
                source.tables = ["public.a", "b.\\"c\\""]   # slotstream.toml:2
                source.failover = true   # default
                source.streaming = "off"   # default
                source.wal_sender_timeout = "3s"   # default
                source.silence_limit = "15m"   # default
                transport.transport = "nats"   # default
                transport.nats.url = "tls://***@a,tls://b:1"   # env SLOTSTREAM_TRANSPORT_NATS_URL
                transport.nats.stream_name = "fraiseql_events"   # default
                transport.nats.subject_prefix = "fraiseql.mutation"   # default
                transport.nats.consumer_name = "fraiseql_observer_worker"   # default
                transport.nats.credentials_file = ""   # default
                transport.nats.nkey_seed_file = ""   # default
                transport.nats.user = ""   # default
                transport.nats.password_file = ""   # default
                transport.nats.token_file = ""   # default
                transport.nats.tls.ca_file = ""   # default
                transport.nats.tls.certificate_file = ""   # default
                transport.nats.tls.key_file = ""   # default
                transport.nats.jetstream.max_bytes = "10GiB"   # default
                transport.nats.jetstream.max_age_days = 7   # default
                transport.nats.jetstream.max_msgs = -1   # default
                transport.nats.jetstream.dedup_window_minutes = 5   # default
                transport.nats.jetstream.ack_wait_secs = 30   # default
                transport.nats.jetstream.max_deliver = 3   # default
                transport.nats.jetstream.replicas = 1   # default
                events.format = "slotstream"   # default
                events.subject = "{prefix}.{entity}.{operation}"   # default
                events.table_prefixes = ["tb_"]   # default
                events.exclude = []   # default
                events.message_prefixes = ["fraiseql_events"]   # default
                events.on_poison = "quarantine"   # default
                events.casts = []   # default
                events.mask_key_file = ""   # default
                events.entities = { "public.tb_x" = "X" }   # slotstream.toml:3
                events.identity = { "public.tb_x" = ["id"] }   # slotstream.toml:5
                events.columns.exclude = {}   # default
                events.columns.mask = {}   # default
                delivery.atomic = "off"   # default
                delivery.in_flight_messages = 4096   # default
                delivery.in_flight_bytes = "8MiB"   # default
                delivery.ack_timeout = "10s"   # default
                delivery.checkpoint_interval = "250ms"   # slotstream.toml:8
                delivery.shutdown_timeout = "25s"   # default
                replay.window = "10m"   # default
                replay.window_bytes = "1GiB"   # default
                backfill.on_first_start = []   # default
                backfill.url = ""   # default
                backfill.url_file = ""   # default
                backfill.rate = 0   # default
                backfill.max_lag = 0   # default
                http.listen = "127.0.0.1:7432"   # default
                http.ready_max_lag_bytes = 0   # default
                observer_worker.max_concurrency = 50   # default
                observer_worker.ordered = true   # default
                observer_worker.database = false   # default
                observer_worker.database_url = ""   # default
                observer_worker.database_url_file = ""   # default
                observer_worker.allow_private_hosts = false   # default
                observer_worker.ca_file = ""   # default
                observer_worker.shutdown_timeout = "25s"   # default
                observer_worker.listen = "127.0.0.1:7433"   # default
                log.level = "info"   # default
                log.format = "json"   # flag
                log.termination_file = ""   # default

                """)
    }

    @Test func explainsEachKeyInAFileThatLoadsAgain() throws {
        let loaded = try loading.load()
        let explained = loaded.explainedTOML
        for line in loaded.toml.split(separator: "\n") { #expect(explained.contains("\n\(line)\n")) }
        #expect(explained.contains("# The replication slot.\n# Allowed: a slot name: 1 to 63 of a-z 0-9 _\nsource.slot = "))
        let again = try Loading(explained.replacing("***@", with: "")).load()
        #expect(again.values.events == loaded.values.events && again.values.delivery == loaded.values.delivery)
    }

    @Test func isJSONForPrograms() throws {
        let loaded = try loading.load()
        let document = try JSONDecoder().decode(Document.self, from: Data(loaded.json.utf8))
        #expect(document.schema == "slotstream.config/1")
        #expect(document.values.count == loaded.origins.count)
        #expect(document.values.allSatisfy { loaded.origins[$0.key]?.description == $0.origin })
        for piece in [
            #"{"key":"source.tables","value":["public.a", "b.\"c\""],"origin":"slotstream.toml:2"}"#,
            #"{"key":"delivery.checkpoint_interval","value":0.25,"#, #"{"key":"delivery.ack_timeout","value":10,"#,
            #"{"key":"delivery.in_flight_bytes","value":8388608,"#, #"{"key":"source.failover","value":true,"#,
            #"{"key":"events.entities","value":{ "public.tb_x": "X" },"#,
            #"{"key":"events.identity","value":{ "public.tb_x": ["id"] },"#,
        ] {
            #expect(loaded.json.contains(piece), "\(piece)")
        }
        #expect(!loaded.json.contains("\n"))
    }

    @Test func keepsAValueOnItsLine() throws {
        let loaded = try Loading("[events]\ntable_prefixes = [\"a\\nb\\u001b\\u2028\"]").load()
        #expect(loaded.toml.contains(#"events.table_prefixes = ["a\nb\u001B\u2028"]   # slotstream.toml:2"#))
        let again = try Loading(loaded.toml).load()
        #expect(again.values.events == loaded.values.events)
    }
}
