package import Capture
package import History
package import JetStreamPublishing
package import PostgresReplication

/// All that a streamer and the commands beside it need; checked values, no files.
package struct StreamerConfiguration: Sendable {
    package struct Source: Sendable {
        /// What `tables` is where nobody has set it.
        package static let defaultTables = ["public.tb_*"]

        package var connection: ConnectionParameters
        package var slot: String
        package var publication: String
        /// What `setup` puts in the publication: `schema.table` with `*` and `?`; `*` alone is FOR ALL TABLES. Empty: no table, on purpose.
        package var tables: [String]
        /// Whether the slot is to follow a promotion; PostgreSQL 17 and newer.
        package var failover: Bool
        /// Asked for on the replication session; nil leaves the server's.
        package var walSenderTimeoutMilliseconds: Int?
        /// After so long without an answer of the walsender's the connection is given up. Longer than any decoding is silent for.
        package var silenceLimit: Duration

        package init(
            connection: ConnectionParameters, slot: String, publication: String, tables: [String], failover: Bool,
            walSenderTimeoutMilliseconds: Int?, silenceLimit: Duration = .seconds(900)
        ) {
            self.connection = connection
            self.slot = slot
            self.publication = publication
            self.tables = tables
            self.failover = failover
            self.walSenderTimeoutMilliseconds = walSenderTimeoutMilliseconds
            self.silenceLimit = silenceLimit
        }

        /// pgoutput's options. Messages are asked for always: which prefixes are events must not shift ordinals.
        func options(quotedPublication: String) -> [(name: String, value: String)] {
            [("proto_version", "1"), ("publication_names", quotedPublication), ("messages", "true")]
        }
    }

    /// Casts to json that are users' own code.
    package struct Casts: Sendable {
        /// `schema.type`: their casts are called, whoever owns them.
        package var types: [String]
        /// Whoever runs their code.
        package var connection: ConnectionParameters?

        package init(types: [String] = [], connection: ConnectionParameters? = nil) {
            self.types = types
            self.connection = connection
        }
    }

    package struct Delivery: Sendable {
        /// Whether whole transactions go out as atomic batches, where nats-server and stream can.
        package var isAtomic: Bool
        /// Events handed to libnats and not acknowledged, at most.
        package var inFlightMessages: Int
        /// Bytes of events that are not known to be stored, at most; one event over it is admitted alone.
        package var inFlightBytes: Int
        /// After this long without an ack the stream is read to see what is stored.
        package var ackTimeout: Duration
        /// At most one checkpoint record an interval, and one at the stop.
        package var checkpointInterval: Duration
        /// After a stop was asked for, acks are waited for that long; what is unconfirmed then is sent again.
        package var shutdownTimeout: Duration

        package init(
            isAtomic: Bool = false, inFlightMessages: Int, inFlightBytes: Int, ackTimeout: Duration,
            checkpointInterval: Duration, shutdownTimeout: Duration = .seconds(25)
        ) {
            self.isAtomic = isAtomic
            self.inFlightMessages = inFlightMessages
            self.inFlightBytes = inFlightBytes
            self.ackTimeout = ackTimeout
            self.checkpointInterval = checkpointInterval
            self.shutdownTimeout = shutdownTimeout
        }
    }

    /// What a backfill does that was not asked for otherwise.
    package struct Backfill: Sendable {
        /// Patterns of the published tables whose rows are read at a stream's first start; empty: none are.
        package var onFirstStart: [String]
        /// How the rows are read: whoever may read the tables, on the very server of `source`; nil: as `source` connects.
        package var connection: ConnectionParameters?
        /// Rows a second at most, of requests that name no rate; nil: no limit.
        package var rate: Int?
        /// It rests while the live stream is behind by more WAL, of requests that name no limit; nil: it does not.
        package var maxLagBytes: UInt64?

        package init(
            onFirstStart: [String] = [], connection: ConnectionParameters? = nil, rate: Int? = nil, maxLagBytes: UInt64? = nil
        ) {
            self.onFirstStart = onFirstStart
            self.connection = connection
            self.rate = rate
            self.maxLagBytes = maxLagBytes
        }
    }

    /// The durable pull consumer that `setup` creates for those who have none yet: deliver all, explicit acks.
    package struct Consumer: Sendable {
        package var name: String
        package var ackWait: Duration
        /// -1: no limit.
        package var maxDeliver: Int

        package init(name: String, ackWait: Duration, maxDeliver: Int) {
            self.name = name
            self.ackWait = ackWait
            self.maxDeliver = maxDeliver
        }
    }

    package var source: Source
    package var nats: JetStreamConnectionOptions
    /// The stream as it is created where there is none.
    package var stream: StreamConfiguration
    /// The durable consumer that `setup` creates; nil: none.
    package var consumer: Consumer?
    package var capture: CaptureConfiguration
    /// The tables of `capture.excludedColumns`, `masks`, `identities` and `entities`, with what may be absent of them.
    package var ruledTables: [RuledTable]
    /// The cryptography that `capture` may need, with the operator's key in it.
    package var captureFunctions: CaptureFunctions
    package var casts: Casts
    package var delivery: Delivery
    /// How far the anchor slot trails.
    package var window: ReplayWindow.Limits
    /// Not ready while behind by more than this; 0: no limit.
    package var readyMaxLagBytes: UInt64
    package var backfill: Backfill

    package init(
        source: Source, nats: JetStreamConnectionOptions, stream: StreamConfiguration,
        consumer: Consumer?, capture: CaptureConfiguration, ruledTables: [RuledTable] = [],
        captureFunctions: CaptureFunctions, casts: Casts = Casts(), delivery: Delivery,
        window: ReplayWindow.Limits = ReplayWindow.Limits(age: .zero, byteCount: 0), readyMaxLagBytes: UInt64, backfill: Backfill = Backfill()
    ) {
        self.source = source
        self.nats = nats
        self.stream = stream
        self.consumer = consumer
        self.capture = capture
        self.ruledTables = ruledTables
        self.captureFunctions = captureFunctions
        self.casts = casts
        self.delivery = delivery
        self.window = window
        self.readyMaxLagBytes = readyMaxLagBytes
        self.backfill = backfill
    }
}

extension StreamerConfiguration {
    /// The configured ones.
    package var streamOptions: StreamOptions {
        StreamOptions(
            replication: "publications=\(source.publication) messages=true origin=any streaming=off",
            filters:
                "\(capture.exclusions.sorted().joined(separator: ",")) message_prefixes=\(capture.messagePrefixes.sorted().joined(separator: ","))"
        )
    }

    /// What its user in NATS may do.
    package var natsRights: NATSRights {
        NATSRights(stream: stream.name, prefix: stream.subjectPrefix, consumer: consumer?.name)
    }
}
