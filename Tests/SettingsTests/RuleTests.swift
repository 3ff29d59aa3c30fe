import Settings
import Testing

@Suite struct RuleTests {
    /// `key = value` in TOML.
    struct Line: Sendable, CustomStringConvertible {
        let key: String
        let value: String
        var description: String { "\(key) = \(value)" }

        static func all(_ key: String, _ values: String...) -> [Line] { values.map { Line(key: key, value: $0) } }
    }

    static let allowed: [Line] =
        Line.all("source.slot", "\"a\"", "\"0_\"", "\"" + String(repeating: "s", count: 56) + "\"")
        + Line.all("source.url", "\"\"", "\"service=shop\"", "\"postgres:///shop\"")
        + Line.all("source.tables", "[]", "[\"*\"]", "[\"a.b\", \"Q q.x.y\"]")
        + Line.all("source.wal_sender_timeout", "\"2s\"", "\"1d\"", "\"1h\"")
        + Line.all("source.silence_limit", "\"10s\"", "\"1d\"")
        + Line.all(
            "transport.nats.url", "\"nats://h\"", "\"tls://h:1/\"", "\"nats://t@h\"", "\" nats://a , nats://b \"")
        + Line.all("transport.nats.consumer_name", "\"a-b$\"", "\"\"")
        + Line.all("transport.nats.subject_prefix", "\"a\"", "\"a.%b-c\"")
        + Line.all("transport.nats.jetstream.max_bytes", "-1", "1", "\"1KiB\"")
        + Line.all("transport.nats.jetstream.max_deliver", "-1", "1")
        + Line.all("transport.nats.jetstream.dedup_window_minutes", "1", "60")
        + Line.all("transport.nats.jetstream.replicas", "1", "5")
        + Line.all("events.subject", "\"{prefix}.x\"", "\"{prefix}.{column:a..b}\"", "\"{prefix}.{database}-{table}_1.{column:a b}\"")
        + Line.all("events.exclude", "[\"a.b\"]", "[\"*.*:*\"]", "[\"a.b:TRUNCATE\"]", "[\"a.b.c:INSERT\"]")
        + Line.all("replay.window", "0", "\"0\"", "\"0s\"", "\"14d\"")
        + Line.all("http.listen", "\"\"", "\"0.0.0.0:80\"", "\"localhost:0\"", "\"[::]:65535\"")
        + Line.all("delivery.atomic", "\"off\"", "\"auto\"")
        + Line.all("delivery.in_flight_bytes", "1", "\"1\"", "\"2GiB\"")

    static let refused: [Line] =
        Line.all(
            "source.slot", "\"\"", "\"A\"", "\"a-b\"", "\"ä\"", "\"" + String(repeating: "s", count: 64) + "\"", "3")
        + Line.all("source.publication", "\"\"", "\"a\\nb\"", "\"" + String(repeating: "ä", count: 32) + "\"")
        + Line.all("source.url", "\"mysql://h\"", "\"shop\"", "true")
        + Line.all(
            "source.tables", "\"public.a\"", "[\"a\"]", "[\"*\", \"a.b\"]", "[\".b\"]", "[\"a.\"]", "[1]", "[\"\"]")
        + Line.all("source.failover", "\"true\"", "1")
        + Line.all(
            "source.wal_sender_timeout", "\"1s\"", "\"2d\"", "3", "\"3\"", "\"3 s\"", "\"-3s\"", "\"+3s\"", "\"1.5s\"",
            "\"3S\"", "\"s\"",
            "\"\"", "\"99999999999999999999s\"", "\"9999999999999999d\"", "\"٣s\"")
        + Line.all("source.silence_limit", "\"9s\"", "\"2d\"", "\"0\"")
        + Line.all("transport.transport", "\"postgres\"", "\"in_memory\"", "\"\"", "1")
        + Line.all(
            "transport.nats.url", "\"\"", "\"localhost:4222\"", "\"ws://h\"", "\"wss://h\"", "\"http://h\"",
            "\"nats://\"", "\"nats://h:0\"",
            "\"nats://h:65536\"", "\"nats://h:x\"", "\"nats://h:\"", "\"nats://h/p\"", "\"nats://a,\"",
            "\"nats://a b\"", "\"nats://@h\"", "\"nats://u:1/x@h\"", "\"nats://u:1?x@h\"", "\"nats://u:1#x@h\"",
            "\"nats://[::1\"", "\"nats://[h]:1\"", "[\"nats://h\"]", "\"nats://h:99999999999999999999\"")
        + Line.all(
            "transport.nats.stream_name", "\"\"", "\"a b\"", "\"a.b\"", "\"a*\"", "\"a>\"", "\"a/b\"", "\"a\\\\b\"",
            "\"ä\"", "\"a\\tb\"", "\"$a\"")
        + Line.all(
            "transport.nats.consumer_name", "\"a b\"", "\"a.b\"", "\"a*\"", "\"a>\"", "\"a/b\"", "\"a\\\\b\"", "\"ä\"")
        + Line.all(
            "transport.nats.subject_prefix", "\"\"", "\"a.\"", "\".a\"", "\"a..b\"", "\"a.*\"", "\">\"", "\"a b\"",
            "\"$JS\"", "\"_INBOX.x\"",
            "\"a\\r\\nb\"")
        + Line.all(
            "transport.nats.jetstream.max_bytes", "0", "-2", "\"-1\"", "\"1KB\"", "\"1kib\"", "\"9999999999GiB\"",
            "\"\"")
        + Line.all("transport.nats.jetstream.max_age_days", "-1", "36501", "\"7\"", "7.0")
        + Line.all("transport.nats.jetstream.max_msgs", "0", "-2")
        + Line.all("transport.nats.jetstream.dedup_window_minutes", "0", "61")
        + Line.all("transport.nats.jetstream.ack_wait_secs", "0", "-1")
        + Line.all("transport.nats.jetstream.max_deliver", "0", "-2")
        + Line.all("transport.nats.jetstream.replicas", "0", "6")
        + Line.all(
            "events.subject", "\"\"", "\"x.{prefix}\"", "\"{prefix}\"", "\"{prefix}.\"", "\"{prefix}..x\"",
            "\"{prefix}.*\"", "\"{prefix}.>\"",
            "\"{prefix}.{Entity}\"", "\"{prefix}.{column:}\"", "\"{prefix}.{entity\"", "\"{prefix}.entity}\"",
            "\"{prefix}.a b\"", "\"{prefix}._slotstream\"", "\"{prefix}._SlotStream.{entity}\"")
        + Line.all("events.table_prefixes", "[\"\"]", "\"tb_\"")
        + Line.all("events.exclude", "[\"a\"]", "[\"a.b:insert\"]", "[\"a.b:\"]", "[\"a:INSERT\"]")
        + Line.all("events.on_poison", "\"skip\"", "\"STOP\"")
        + Line.all(
            "events.entities", "{ \"tb_order\" = \"Order\" }", "{ public.tb_order = \"Order\" }",
            "{ \"public.a\" = \"\" }",
            "{ \"public.a\" = [\"x\"] }", "\"x\"", "[]", "{ \"public.?\" = \"X\" }",
            // PostgreSQL takes these for two tables, Swift for one.
            "{ \"public.\u{E9}\" = \"A\", \"public.e\u{301}\" = \"B\" }",
            "{ \"public.\u{E9}\" = \"A\", \"public.e\u{301}?\" = \"B\" }")
        + Line.all(
            "events.identity", "{ \"public.a\" = \"id\" }", "{ \"public.a\" = [] }", "{ \"public.a\" = [\"\"] }",
            "{ \"a\" = [\"id\"] }", "{ \"public.a\" = [\"id\", \"b\", \"id\"] }")
        + Line.all("events.format", "\"json\"", "\"Slotstream\"")
        + Line.all(
            "events.columns.exclude", "{ \"tb_user\" = [\"a\"] }", "{ \"public.tb_user\" = \"a\" }",
            "{ \"public.tb_user\" = [] }")
        + Line.all(
            "events.columns.mask", "{ \"tb_user\" = { a = \"hmac\" } }", "{ \"public.tb_user\" = \"hmac\" }",
            "{ \"public.tb_user\" = {} }", "{ \"public.tb_user\" = { a = \"HMAC\" } }",
            "{ \"public.tb_user\" = { a = \"***\" } }", "{ \"public.tb_user\" = { a = 1 } }",
            "{ \"public.tb_user\" = { \"\u{E9}?\" = \"hmac\", \"e\u{301}\" = \"text:x\" } }")
        + Line.all("delivery.atomic", "\"on\"", "true", "\"\"")
        + Line.all("delivery.in_flight_messages", "0", "-1", "1000001")
        + Line.all("delivery.in_flight_bytes", "0", "-1", "\"1TiB\"", "\"1 MiB\"", "\"5GiB\"")
        + Line.all("delivery.ack_timeout", "\"0\"", "\"99ms\"", "\"2h\"")
        + Line.all("delivery.checkpoint_interval", "\"0\"", "\"2h\"")
        + Line.all("replay.window", "\"-1s\"", "600")
        + Line.all("replay.window_bytes", "0")
        + Line.all("backfill.on_first_start", "\"public.a\"", "[\"a\"]", "[\"*\", \"public.a\"]")
        + Line.all("backfill.url", "\"h\"")
        + Line.all("backfill.rate", "-1", "10000001")
        + Line.all("backfill.max_lag", "-1", "\"1 MiB\"")
        + Line.all(
            "http.listen", "\":\"", "\":x\"", "\":65536\"", "\"localhost\"", "\"h:65536\"", "\"h:\"", "\"::1:80\"", "\"http://h:80\"",
            "7432")
        + Line.all("http.ready_max_lag_bytes", "-1")
        + Line.all("log.level", "\"loud\"", "\"critical\"", "\"INFO\"")
        + Line.all("log.format", "\"xml\"")

    @Test(arguments: allowed) func takes(_ line: Line) {
        #expect(Loading("\(line)\n").complaints == [])
    }

    @Test(arguments: refused) func refuses(_ line: Line) throws {
        let complaints = Loading("\(line)\n").complaints
        let complaint = try #require(complaints.first)
        #expect(complaints.count == 1)
        #expect(complaint.hasPrefix("slotstream.toml:1: \(line.key) = "))
        #expect(complaint.contains(": must be "))
    }

    @Test(arguments: Line.all("source.streaming", "\"on\"", "\"parallel\""))
    func saysThatThisVersionDoesNotHave(_ line: Line) {
        #expect(
            Loading("\(line)\n").complaints == [
                "slotstream.toml:1: \(line): not in this version, which takes \"off\" only"
            ])
    }

    @Test func offersOnlyWhatThisVersionTakes() {
        #expect(
            Loading("source.streaming = \"fast\"").complaints == [
                "slotstream.toml:1: source.streaming = \"fast\": must be \"off\""
            ])
    }

    @Test func leavesRoomForTheAnchorsName() throws {
        let slot = String(repeating: "s", count: 57)
        let complaints = Loading("source.slot = \"\(slot)\"").complaints
        #expect(
            complaints.count == 1 && complaints[0].contains("at most 56 characters while replay.window is not \"0\""))
        #expect(try Loading("source.slot = \"\(slot)\"\nreplay.window = \"0\"").values.source.slot == slot)
    }

    @Test func splitsAndTrimsAListFromTheEnvironment() throws {
        var loading = Loading(environment: ["SLOTSTREAM_SOURCE_TABLES": " public.a , sales.b"])
        #expect(try loading.values.source.tables == ["public.a", "sales.b"])
        loading.environment = ["SLOTSTREAM_EVENTS_TABLE_PREFIXES": ""]
        #expect(try loading.values.events.tablePrefixes == [])
        // Nothing would be published.
        loading.environment = ["SLOTSTREAM_SOURCE_TABLES": ""]
        #expect(loading.complaints.count == 1 && loading.complaints[0].hasSuffix("or [] in the file for none"))
        loading.environment = ["SLOTSTREAM_SOURCE_TABLES": "public.a,"]
        #expect(loading.complaints.count == 1)
    }

    @Test(arguments: [
        ("source.tables", #"["public.*"]"#, "public.*"), ("source.tables", #" [ "public.a" , 'sales.b' ] "#, "public.a,sales.b"),
        ("source.tables", "[public.a]", "public.a"), ("source.tables", "[]", ""),
        ("events.exclude", #"["a.b:INSERT"]"#, "a.b:INSERT"), ("events.table_prefixes", #"["tb_"]"#, "tb_"),
        ("events.message_prefixes", #"["x"]"#, "x"), ("events.casts", #"["public.t"]"#, "public.t"),
    ])
    func aListAsTheFileHasItIsNoTextOfAList(_ key: String, _ text: String, _ instead: String) throws {
        let said = "write the list without brackets and quotes: \(instead)"
        let variable = "SLOTSTREAM_" + key.split(separator: ".").joined(separator: "_").uppercased()
        for loading in [
            Loading(flags: [key: text]), Loading(environment: [variable: text]),
            Loading("\(key) = \"${LIST}\"\n", environment: ["LIST": text]),
        ] {
            #expect(loading.complaints.count == 1 && loading.complaints[0].hasSuffix(said), "\(loading.complaints)")
        }
    }

    @Test func keepsTheParts() throws {
        #expect(try Loading("http.listen = \"[::1]:80\"").values.http.listen == ListenAddress(host: "::1", port: 80))
        #expect(try Loading("http.listen = \"\"").values.http.listen == nil)
        #expect(try Loading("http.listen = \":7432\"").values.http.listen == ListenAddress(host: "0.0.0.0", port: 7432))
        #expect(try Loading("transport.nats.consumer_name = \"\"").values.nats.consumerName == nil)
        #expect(try Loading("events.entities.\"public.a\" = \"A\"").values.events.entities == ["public.a": "A"])
        #expect(try Loading("[events.identity]\n\"s.t\" = [\"a\"]").values.events.identity == ["s.t": ["a"]])
        // Two columns to PostgreSQL; a list keeps both.
        let both = try Loading("[events.columns.exclude]\n\"s.t\" = [\"\u{E9}\", \"e\u{301}\"]").values.events
        #expect(both.excludedColumns["s.t"]?.map { Array($0.utf8) } == [[0xC3, 0xA9], [0x65, 0xCC, 0x81]])
    }

    @Test func aVariableHasATableAsAJSONObject() throws {
        let variable = "SLOTSTREAM_EVENTS_COLUMNS_MASK"
        let text = #"{ "public.a:\"b" : {"e\u0301":"text: x:y", "f" : "text:"} , "public.c":{"d":"text:***"}}"#
        let masks = try Loading(environment: [variable: text]).values.events.masks
        #expect(masks == ["public.a:\"b": ["e\u{301}": .text(" x:y"), "f": .text("")], "public.c": ["d": .text("***")]])
        // Nothing, no object, a wrong value, TOML; and of a name that comes twice one rule would be lost.
        for text in [
            "", "x", "[]", "{", #"{"public.a":1}"#, #"{"a":{"b":"text:"}}"#, #"{"public.a"={b="text:"}}"#,
            #"{"public.a":{"b":"text:"},"public.a":{"c":"text:"}}"#, #"{"public.a":{"b":"text:1","b":"text:2"}}"#,
            #"{"public.a":{"é":"text:1","e\u0301":"text:2"}}"#,
        ] {
            let complaints = Loading(environment: [variable: text]).complaints
            #expect(complaints.count == 1 && complaints[0].contains("in a variable the same as a JSON object"), "\(text): \(complaints)")
        }
    }
}
