extension ConfigurationKey {
    /// Every key, in the order in which it is shown. The defaults are `Configuration()`'s.
    static let all: [ConfigurationKey] = [
        // `fallbackVariable` and not `variables`: the file comes before it.
        ConfigurationKey(
            "source.url", \.source.url, .connectionString, fallbackVariable: "DATABASE_URL", secrecy: .connectionString,
            means: "The connection to PostgreSQL. Without this key and source.url_file: DATABASE_URL, then libpq's own PG… variables."),
        ConfigurationKey(
            "source.url_file", \.source.urlFile, .path, secrecy: .path,
            means: "A file that holds the connection string, instead of source.url. The streamer reads the file again at each connect."),
        ConfigurationKey(
            "source.cast_url_file", \.source.castURLFile, .path, secrecy: .path,
            means: "A file with the connection string of the role that calls the casts of events.casts. The streamer reads the file again at each connect."),
        ConfigurationKey("source.slot", \.source.slot, .slotName, means: "The replication slot."),
        ConfigurationKey("source.publication", \.source.publication, .identifier, means: "The publication."),
        ConfigurationKey(
            "source.tables", \.source.tables, .tablePatterns,
            means: "The tables that `slotstream setup` adds to the publication. Each pattern must match a table. [] publishes logical messages only, [\"*\"] all tables."),
        ConfigurationKey(
            "source.failover", \.source.failover, .boolean,
            means: "PostgreSQL 17 and newer: the slot follows a promotion."),
        ConfigurationKey(
            "source.streaming", \.source.streaming, .choice, only: .off,
            means: "Whether PostgreSQL sends large transactions before their commit."),
        // Status updates go out once a second: PostgreSQL must wait for more than one of them.
        ConfigurationKey(
            "source.wal_sender_timeout", \.source.walSenderTimeout, .duration(.seconds(2) ... .seconds(86_400)),
            means: "The time after which PostgreSQL drops a dead streamer, so that another one can take over."),
        // Two questions at least fall into it.
        ConfigurationKey(
            "source.silence_limit", \.source.silenceLimit, .duration(.seconds(10) ... .seconds(86_400)),
            means: "The time after which the streamer gives up a walsender that answers nothing, and connects again. The new walsender decodes from the start: set more than any decoding is silent for."),

        .fixed("transport.transport", "nats", means: "The transport."),

        ConfigurationKey(
            "transport.nats.url", \.nats.urls, .natsURLs, hasFraiseQLName: true, secrecy: .natsURLs,
            means: "One nats-server, or several with commas between them. One tls:// among them makes TLS a must for all."),
        ConfigurationKey(
            "transport.nats.stream_name", \.nats.streamName, .streamName, hasFraiseQLName: true,
            means: "The stream. The checkpoint record has the same name."),
        ConfigurationKey(
            "transport.nats.subject_prefix", \.nats.subjectPrefix, .subjectPrefix, hasFraiseQLName: true,
            means: "The first tokens of every subject."),
        ConfigurationKey(
            "transport.nats.consumer_name", \.nats.consumerName, .optional(.consumerName), hasFraiseQLName: true,
            means: "The durable pull consumer that `slotstream setup` creates."),
        ConfigurationKey(
            "transport.nats.credentials_file", \.nats.credentialsFile, .path, secrecy: .path,
            means: "A credentials file of NATS (.creds)."),
        ConfigurationKey(
            "transport.nats.nkey_seed_file", \.nats.nkeySeedFile, .path, secrecy: .path,
            means: "A file with the seed of an nkey."),
        ConfigurationKey(
            "transport.nats.user", \.nats.user, .optional(.word),
            means: "The NATS user. Set transport.nats.password_file as well."),
        ConfigurationKey(
            "transport.nats.password_file", \.nats.passwordFile, .path, secrecy: .path,
            means: "A file with the password of transport.nats.user."),
        ConfigurationKey(
            "transport.nats.token_file", \.nats.tokenFile, .path, secrecy: .path,
            means: "A file with a token."),

        ConfigurationKey(
            "transport.nats.tls.ca_file", \.nats.tls.caFile, .path, secrecy: .path,
            means: "A PEM file with the authorities that may sign the server's certificate. Any key of this table makes TLS a must."),
        ConfigurationKey(
            "transport.nats.tls.certificate_file", \.nats.tls.certificateFile, .path, secrecy: .path,
            means: "A PEM file with the streamer's own certificate. Set transport.nats.tls.key_file as well."),
        ConfigurationKey(
            "transport.nats.tls.key_file", \.nats.tls.keyFile, .path, secrecy: .path,
            means: "A PEM file with the private key of transport.nats.tls.certificate_file."),

        ConfigurationKey(
            "transport.nats.jetstream.max_bytes", \.jetStream.maxBytes, .byteLimit, hasFraiseQLName: true,
            means: "The most bytes that a new stream keeps. JetStream reserves this room at once."),
        // A century, far below the nanoseconds that the server counts in 64 bits. The least, a day, is longer than any
        // duplicate window: the server refuses a window longer than the age.
        ConfigurationKey(
            "transport.nats.jetstream.max_age_days", \.jetStream.maxAge, .count(0...36_500, ofSeconds: 86_400), hasFraiseQLName: true,
            means: "The days for which a new stream keeps an event; 0 for no limit."),
        ConfigurationKey(
            "transport.nats.jetstream.max_msgs", \.jetStream.maxMessages, .limit, hasFraiseQLName: true,
            means: "The most messages that a new stream keeps."),
        ConfigurationKey(
            "transport.nats.jetstream.dedup_window_minutes", \.jetStream.duplicateWindow, .count(1...60, ofSeconds: 60), hasFraiseQLName: true,
            means: "The minutes for which a new stream remembers message ids (its duplicate window)."),
        ConfigurationKey(
            "transport.nats.jetstream.ack_wait_secs", \.jetStream.ackWait, .count(1...31_536_000, ofSeconds: 1), hasFraiseQLName: true,
            means: "The seconds after which a new consumer delivers a message again that nobody has acknowledged."),
        ConfigurationKey(
            "transport.nats.jetstream.max_deliver", \.jetStream.maxDeliver, .limit, hasFraiseQLName: true,
            means: "The number of times that a new consumer delivers a message, at most."),
        ConfigurationKey(
            "transport.nats.jetstream.replicas", \.jetStream.replicas, .integer(1...5),
            means: "The replicas of a new stream and of the new bucket that holds the checkpoint record."),

        ConfigurationKey(
            "events.format", \.events.format, .choice,
            means: "The form of an event: Slotstream's own, FraiseQL's EntityEvent, or CloudEvents 1.0."),
        ConfigurationKey("events.subject", \.events.subject, .subjectTemplate, means: "The subject of an event."),
        ConfigurationKey(
            "events.table_prefixes", \.events.tablePrefixes, .words,
            means: "Prefixes that are cut from a table's name to make the name of the entity."),
        ConfigurationKey("events.exclude", \.events.exclude, .exclusions, means: "Events that are not published."),
        ConfigurationKey(
            "events.message_prefixes", \.events.messagePrefixes, .words,
            means: "Prefixes of the logical messages that are published."),
        ConfigurationKey(
            "events.on_poison", \.events.onPoison, .choice,
            means: "An event that cannot be published is stored in its place on {prefix}._slotstream.POISON (quarantine), is published without its data (reference), or stops the streamer with exit code 65 (stop)."),
        ConfigurationKey(
            "events.casts", \.events.casts, .words,
            means: "Types (schema.type) whose cast to json is called although an ordinary user wrote the cast. Set source.cast_url_file as well."),
        ConfigurationKey(
            "events.mask_key_file", \.events.maskKeyFile, .path, secrecy: .path,
            means: "A file with the key of the masks \"hmac\": all bytes of the file, less one newline at the end."),
        ConfigurationKey(
            "events.entities", \.events.entities, .textOfTable,
            means: "The entity of a table, instead of the one that is made from the table's name."),
        ConfigurationKey(
            "events.identity", \.events.identity, .columnsOfTable,
            means: "The columns of entity_id, a list for each table."),
        ConfigurationKey(
            "events.columns.exclude", \.events.excludedColumns, .columnsOfTable,
            means: "Columns that are in no event, no subject and no entity_id."),
        ConfigurationKey(
            "events.columns.mask", \.events.masks, .masksOfTable,
            means: "Columns whose values are replaced by a digest (hmac) or by a fixed text."),

        ConfigurationKey(
            "delivery.atomic", \.delivery.atomic, .choice,
            means: "Whether consumers see a transaction whole or not at all (auto: on nats-server 2.12.1 and newer)."),
        ConfigurationKey(
            "delivery.in_flight_messages", \.delivery.inFlightMessages, .integer(1...1_000_000),
            means: "Messages that are sent and not yet acknowledged, at most."),
        ConfigurationKey(
            "delivery.in_flight_bytes", \.delivery.inFlightBytes, .byteCount(1...4 << 30),
            means: "Bytes of the events that are read and not yet known to be stored, at most. A larger event passes alone."),
        ConfigurationKey(
            "delivery.ack_timeout", \.delivery.ackTimeout, .duration(.milliseconds(100) ... .seconds(3600)),
            means: "The time without an ack after which the streamer reads the stream's end."),
        ConfigurationKey(
            "delivery.checkpoint_interval", \.delivery.checkpointInterval, .duration(.milliseconds(1) ... .seconds(3600)),
            means: "The least time between two checkpoint records. PostgreSQL is told after each record."),
        ConfigurationKey(
            "delivery.shutdown_timeout", \.delivery.shutdownTimeout, .duration(.milliseconds(100) ... .seconds(3600)),
            means: "How long a stop waits for the acks of what was read. A supervisor needs 5 s more before the kill."),

        ConfigurationKey(
            "replay.window", \.replay.window, .duration(.zero ... .seconds(3650 * 86_400)),
            means: "How far back replay and verify reach, and how much of a lost stream's end is repaired. A second slot, <source.slot>_anchor, keeps the WAL. \"0\": no such slot. Any window shortens source.slot to 56 characters; \"0\" allows 63."),
        ConfigurationKey(
            "replay.window_bytes", \.replay.windowBytes, .byteCount(1...Int.max),
            means: "The most WAL that the anchor slot keeps. With more WAL the window becomes shorter."),

        ConfigurationKey(
            "backfill.on_first_start", \.backfill.onFirstStart, .tablePatterns,
            means: "The published tables whose rows are read at the first start of a stream, and when `slotstream setup` or somebody else adds such a table to the publication. [] reads none, [\"*\"] all."),
        ConfigurationKey(
            "backfill.url", \.backfill.url, .connectionString, secrecy: .connectionString,
            means: "The connection that reads the rows, to the very server of source.url, as a role that may SELECT. Without this key: source.url."),
        ConfigurationKey(
            "backfill.url_file", \.backfill.urlFile, .path, secrecy: .path,
            means: "A file that holds that connection string. The streamer reads the file again at each connect."),
        ConfigurationKey(
            "backfill.rate", \.backfill.rate, .integer(0...10_000_000),
            means: "Rows a second, at most, of a backfill that names no rate; 0 for no limit."),
        ConfigurationKey(
            "backfill.max_lag", \.backfill.maxLag, .byteCount(0...Int.max),
            means: "A backfill that names no limit rests while the live stream is behind by more WAL than this; 0 for no limit."),

        ConfigurationKey(
            "http.listen", \.http.listen, .listenAddress,
            means: "The address of /livez, /readyz, /metrics and /status; :7432 is every IPv4 address of the machine."),
        ConfigurationKey(
            "http.ready_max_lag_bytes", \.http.readyMaxLagBytes, .byteCount(0...Int.max),
            means: "The lag above which /readyz answers 503; 0 for no limit."),

        ConfigurationKey(
            "observer_worker.max_concurrency", \.observerWorker.maxConcurrency, .integer(1...1_000),
            means: "Actions that one observer worker does at the same time, at most."),
        ConfigurationKey(
            "observer_worker.ordered", \.observerWorker.ordered, .boolean,
            means: "Whether the events of an entity stay in order: one worker works, and others stand by. false: all work."),
        ConfigurationKey(
            "observer_worker.database", \.observerWorker.database, .boolean,
            means: "Whether the worker also reads observers from FraiseQL's table tb_observer."),
        ConfigurationKey(
            "observer_worker.database_url", \.observerWorker.databaseURL, .connectionString, secrecy: .connectionString,
            means: "The connection for tb_observer and for database actions. Without this key: source.url."),
        ConfigurationKey(
            "observer_worker.database_url_file", \.observerWorker.databaseURLFile, .path, secrecy: .path,
            means: "A file that holds that connection string. The worker reads the file again at each connect."),
        ConfigurationKey(
            "observer_worker.allow_private_hosts", \.observerWorker.allowPrivateHosts, .boolean,
            means: "Whether webhooks may go to addresses of private networks and of this machine."),
        ConfigurationKey(
            "observer_worker.ca_file", \.observerWorker.caFile, .path, secrecy: .path,
            means: "A PEM file with the authorities that may sign the certificates of receivers and mail servers. Without this key: the system's."),
        // A supervisor's default is 30 s.
        ConfigurationKey(
            "observer_worker.shutdown_timeout", \.observerWorker.shutdownTimeout, .duration(.milliseconds(100) ... .seconds(3600)),
            means: "How long a stop waits for the actions under way. A supervisor needs 5 s more before the kill."),
        ConfigurationKey(
            "observer_worker.listen", \.observerWorker.listen, .listenAddress,
            means: "The address of the worker's /livez, /readyz, /metrics and /status."),

        ConfigurationKey("log.level", \.log.level, .choice, means: "The least severe lines that are logged."),
        ConfigurationKey(
            "log.format", \.log.format, .choice,
            means: "Lines for people (key=value), or one JSON object a line; always on standard error."),
        ConfigurationKey(
            "log.termination_file", \.log.terminationFile, .optional(.word),
            means: "A file to which a stop that only a person can mend writes reason, message and remedy. In Kubernetes: /dev/termination-log."),
    ]

    /// FraiseQL's keys and tables that mean nothing to a streamer: accepted and not used. What lies in such a table is not looked at.
    ///
    /// Source: fraiseql-observers, `src/config/transport.rs` and `src/config/runtime.rs`.
    static let ignored: Set<String> = [
        "transport.bridge", "transport.run_bridge", "transport.run_executors", "redis", "performance",
        "channel_capacity", "max_concurrency", "backlog_alert_threshold", "shutdown_timeout", "max_dlq_size",
    ]

    /// The table of observers, which only the observer worker reads; whatever is in it.
    static let observers = "observers"

    /// The keys by path.
    static let byPath = Dictionary(uniqueKeysWithValues: all.map { ($0.path, $0) })

    /// Every table that has one of our keys below it.
    static let tables = Set(
        all.flatMap { key in
            let parts = key.path.split(separator: ".")
            return (1..<parts.count).map { parts[..<$0].joined(separator: ".") }
        })
}
