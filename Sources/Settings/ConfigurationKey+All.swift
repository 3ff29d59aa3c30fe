extension ConfigurationKey {
    /// Every key, in the order in which it is shown. The defaults are `Configuration()`'s.
    static let all: [ConfigurationKey] = [
        // `fallbackVariable` and not `variables`: the file comes before it.
        ConfigurationKey(
            "source.url", \.source.url, .connectionString, fallbackVariable: "DATABASE_URL", secrecy: .connectionString),
        ConfigurationKey("source.url_file", \.source.urlFile, .path, secrecy: .path),
        ConfigurationKey("source.cast_url_file", \.source.castURLFile, .path, secrecy: .path),
        ConfigurationKey("source.slot", \.source.slot, .slotName),
        ConfigurationKey("source.publication", \.source.publication, .identifier),
        ConfigurationKey("source.tables", \.source.tables, .tablePatterns),
        ConfigurationKey("source.failover", \.source.failover, .boolean),
        ConfigurationKey("source.streaming", \.source.streaming, .choice, only: .off),
        // Status updates go out once a second: PostgreSQL must wait for more than one of them.
        ConfigurationKey(
            "source.wal_sender_timeout", \.source.walSenderTimeout, .duration(.seconds(2) ... .seconds(86_400))),
        // Two questions at least fall into it.
        ConfigurationKey(
            "source.silence_limit", \.source.silenceLimit, .duration(.seconds(10) ... .seconds(86_400))),

        .fixed("transport.transport", "nats"),

        ConfigurationKey("transport.nats.url", \.nats.urls, .natsURLs, hasFraiseQLName: true, secrecy: .natsURLs),
        ConfigurationKey("transport.nats.stream_name", \.nats.streamName, .streamName, hasFraiseQLName: true),
        ConfigurationKey("transport.nats.subject_prefix", \.nats.subjectPrefix, .subjectPrefix, hasFraiseQLName: true),
        ConfigurationKey(
            "transport.nats.consumer_name", \.nats.consumerName, .optional(.consumerName), hasFraiseQLName: true),
        ConfigurationKey("transport.nats.credentials_file", \.nats.credentialsFile, .path, secrecy: .path),
        ConfigurationKey("transport.nats.nkey_seed_file", \.nats.nkeySeedFile, .path, secrecy: .path),
        ConfigurationKey("transport.nats.user", \.nats.user, .optional(.word)),
        ConfigurationKey("transport.nats.password_file", \.nats.passwordFile, .path, secrecy: .path),
        ConfigurationKey("transport.nats.token_file", \.nats.tokenFile, .path, secrecy: .path),

        ConfigurationKey("transport.nats.tls.ca_file", \.nats.tls.caFile, .path, secrecy: .path),
        ConfigurationKey("transport.nats.tls.certificate_file", \.nats.tls.certificateFile, .path, secrecy: .path),
        ConfigurationKey("transport.nats.tls.key_file", \.nats.tls.keyFile, .path, secrecy: .path),

        ConfigurationKey("transport.nats.jetstream.max_bytes", \.jetStream.maxBytes, .byteLimit, hasFraiseQLName: true),
        // A century, far below the nanoseconds that the server counts in 64 bits. The least, a day, is longer than any
        // duplicate window: the server refuses a window longer than the age.
        ConfigurationKey(
            "transport.nats.jetstream.max_age_days", \.jetStream.maxAge, .count(0...36_500, ofSeconds: 86_400),
            hasFraiseQLName: true),
        ConfigurationKey("transport.nats.jetstream.max_msgs", \.jetStream.maxMessages, .limit, hasFraiseQLName: true),
        ConfigurationKey(
            "transport.nats.jetstream.dedup_window_minutes", \.jetStream.duplicateWindow, .count(1...60, ofSeconds: 60),
            hasFraiseQLName: true),
        ConfigurationKey(
            "transport.nats.jetstream.ack_wait_secs", \.jetStream.ackWait, .count(1...31_536_000, ofSeconds: 1),
            hasFraiseQLName: true),
        ConfigurationKey("transport.nats.jetstream.max_deliver", \.jetStream.maxDeliver, .limit, hasFraiseQLName: true),
        ConfigurationKey("transport.nats.jetstream.replicas", \.jetStream.replicas, .integer(1...5)),

        ConfigurationKey("events.format", \.events.format, .choice),
        ConfigurationKey("events.subject", \.events.subject, .subjectTemplate),
        ConfigurationKey("events.table_prefixes", \.events.tablePrefixes, .words),
        ConfigurationKey("events.exclude", \.events.exclude, .exclusions),
        ConfigurationKey("events.message_prefixes", \.events.messagePrefixes, .words),
        ConfigurationKey("events.on_poison", \.events.onPoison, .choice),
        ConfigurationKey("events.casts", \.events.casts, .words),
        ConfigurationKey("events.mask_key_file", \.events.maskKeyFile, .path, secrecy: .path),
        ConfigurationKey("events.entities", \.events.entities, .textOfTable),
        ConfigurationKey("events.identity", \.events.identity, .columnsOfTable),
        ConfigurationKey("events.columns.exclude", \.events.excludedColumns, .columnsOfTable),
        ConfigurationKey("events.columns.mask", \.events.masks, .masksOfTable),

        ConfigurationKey("delivery.atomic", \.delivery.atomic, .choice),
        ConfigurationKey("delivery.in_flight_messages", \.delivery.inFlightMessages, .integer(1...1_000_000)),
        ConfigurationKey("delivery.in_flight_bytes", \.delivery.inFlightBytes, .byteCount(1...4 << 30)),
        ConfigurationKey(
            "delivery.ack_timeout", \.delivery.ackTimeout, .duration(.milliseconds(100) ... .seconds(3600))),
        ConfigurationKey(
            "delivery.checkpoint_interval", \.delivery.checkpointInterval,
            .duration(.milliseconds(1) ... .seconds(3600))),

        ConfigurationKey("replay.window", \.replay.window, .duration(.zero ... .seconds(3650 * 86_400))),
        ConfigurationKey("replay.window_bytes", \.replay.windowBytes, .byteCount(1...Int.max)),

        ConfigurationKey("http.listen", \.http.listen, .listenAddress),
        ConfigurationKey("http.ready_max_lag_bytes", \.http.readyMaxLagBytes, .byteCount(0...Int.max)),

        ConfigurationKey("log.level", \.log.level, .choice),
        ConfigurationKey("log.format", \.log.format, .choice),
    ]

    /// FraiseQL's keys and tables that mean nothing to a streamer: accepted and not used. What lies in such a table is not looked at.
    ///
    /// Source: fraiseql-observers, `src/config/transport.rs` and `src/config/runtime.rs`.
    static let ignored: Set<String> = [
        "transport.bridge", "transport.run_bridge", "transport.run_executors", "redis", "performance", "observers",
        "channel_capacity", "max_concurrency", "backlog_alert_threshold", "shutdown_timeout", "max_dlq_size",
    ]

    /// The keys by path.
    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

    /// Every table that has one of our keys below it.
    static let tables = Set(
        all.flatMap { key in
            let parts = key.path.split(separator: ".")
            return (1..<parts.count).map { parts[..<$0].joined(separator: ".") }
        })
}
