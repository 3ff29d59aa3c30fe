package import Capture
import Pipeline

/// Everything an operator can choose, checked: one nested struct for each table of the file.
///
/// `Configuration()` is the defaults; `load` is how a program gets one. A value in here has passed its key's rule (`ConfigurationKey.all`).
package struct Configuration: Sendable, Equatable {
    /// `[source]`
    package var source = Source()
    /// `[transport.nats]`
    package var nats = NATS()
    /// `[transport.nats.jetstream]`
    package var jetStream = JetStream()
    /// `[events]`
    package var events = Events()
    /// `[delivery]`
    package var delivery = Delivery()
    /// `[replay]`
    package var replay = Replay()
    /// `[backfill]`
    package var backfill = Backfill()
    /// `[http]`
    package var http = HTTP()
    /// `[observer_worker]`
    package var observerWorker = ObserverWorker()
    /// `[log]`
    package var log = Log()

    /// The defaults: what an empty file and an empty environment give.
    package init() {}

    /// The PostgreSQL side.
    package struct Source: Sendable, Equatable {
        /// A libpq conninfo, as a URI or as keywords; empty: libpq's own `PG…` variables decide.
        package var url = Secret("", shown: "")
        /// The file that `url` was read from, as it was written; nil: none.
        package var urlFile: String?
        /// A file with the connection string of the role that calls the casts of `events.casts`, read again at each connect.
        package var castURLFile: String?
        /// Matches `[a-z0-9_]{1,63}`, and leaves room for the anchor's suffix while there is a replay window.
        package var slot = "fraiseql_events"
        /// An identifier as it is stored in `pg_publication`, unquoted.
        package var publication = "fraiseql_events"
        /// `schema.table` patterns with `*` and `?`, exactly `["*"]` for all tables, or none.
        package var tables = StreamerConfiguration.Source.defaultTables
        /// Whether the slot is to follow a promotion (PostgreSQL 17 and later).
        package var failover = true
        /// `off` in this version.
        package var streaming = StreamingMode.off
        /// Asked for on the replication connection only.
        package var walSenderTimeout = Duration.seconds(3)
        /// A walsender that has answered nothing for so long is given up.
        package var silenceLimit = Duration.seconds(900)

        /// The defaults.
        package init() {}
    }

    /// The connection to NATS and the names of what is used there.
    package struct NATS: Sendable, Equatable {
        /// At least one `nats://` or `tls://` URL; `value` may hold a user and password.
        package var urls = [Secret("nats://localhost:4222", shown: "nats://localhost:4222")]
        /// Valid as a stream's name and as a key of a key-value bucket.
        package var streamName = "fraiseql_events"
        /// Dot-separated tokens without wildcards.
        package var subjectPrefix = "fraiseql.mutation"
        /// The durable consumer that `setup` makes; nil: none.
        package var consumerName: String? = "fraiseql_observer_worker"
        /// At most one of `credentialsFile`, `nkeySeedFile`, `user` with `passwordFile`, and `tokenFile` is set; each file was readable when loaded.
        package var credentialsFile: String?
        /// A file with an nkey's seed in it.
        package var nkeySeedFile: String?
        /// Set together with `passwordFile` or not at all.
        package var user: String?
        /// A file with the user's password in it.
        package var passwordFile: String?
        /// A file with a token in it.
        package var tokenFile: String?
        /// What TLS needs beyond the system's own; a `tls://` URL needs none of it.
        package var tls = TLS()

        /// The defaults.
        package init() {}
    }

    /// `[transport.nats.tls]`: paths of PEM files, each readable when loaded.
    package struct TLS: Sendable, Equatable {
        /// nil: the system's certificate authorities.
        package var caFile: String?
        /// The client's certificate; set together with `keyFile` or not at all.
        package var certificateFile: String?
        /// The private key of `certificateFile`.
        package var keyFile: String?

        /// The defaults.
        package init() {}
    }

    /// What the stream and the consumer are created with. An existing one is never altered.
    package struct JetStream: Sendable, Equatable {
        /// -1: no limit.
        package var maxBytes = 10_737_418_240
        /// Whole days; zero: no limit.
        package var maxAge = Duration.seconds(7 * 86_400)
        /// -1: no limit.
        package var maxMessages = -1
        /// Whole minutes, 1 to 60; always shorter than `maxAge`, whose least is a day.
        package var duplicateWindow = Duration.seconds(5 * 60)
        /// The consumer's; whole seconds.
        package var ackWait = Duration.seconds(30)
        /// The consumer's; -1: no limit.
        package var maxDeliver = 3
        /// 1 to 5.
        package var replicas = 1

        /// The defaults.
        package init() {}
    }

    /// What becomes an event, and how it looks.
    package struct Events: Sendable, Equatable {
        /// What an event's JSON looks like.
        package var format = EventFormat.slotstream
        /// Begins with `{prefix}.`; every placeholder in it is known.
        package var subject = "{prefix}.{entity}.{operation}"
        /// Cut from table names to make entities.
        package var tablePrefixes = ["tb_"]
        /// `schema.table` or `schema.table:OPERATION`, with `*` and `?`.
        package var exclude: [String] = []
        /// Prefixes of logical messages that are events.
        package var messagePrefixes = ["fraiseql_events"]
        /// What happens with a change that cannot be an event.
        package var onPoison = PoisonPolicy.quarantine
        /// `schema.type`: types whose cast to json is called though it is a user's own code.
        package var casts: [String] = []
        /// `schema.table` → entity.
        package var entities: [String: String] = [:]
        /// `schema.table` → columns of `entity_id`.
        package var identity: [String: [String]] = [:]
        /// `schema.table` → columns that are written nowhere.
        package var excludedColumns: [String: [String]] = [:]
        /// `schema.table` → column → what stands for its values.
        package var masks: [String: [String: ColumnMask]] = [:]
        /// A file with the key of `hmac` masks in it; set when there is one, and readable when loaded.
        package var maskKeyFile: String?
        /// What is in `maskKeyFile`, less one trailing newline; nil where there is none that can be read.
        package var maskKey: SecretBytes?

        /// The defaults.
        package init() {}
    }

    /// The window between reading and acknowledging.
    package struct Delivery: Sendable, Equatable {
        /// Whether consumers see a transaction whole or not at all.
        package var atomic = AtomicMode.off
        /// Events handed to NATS and not yet stored, at most.
        package var inFlightMessages = 4096
        /// Their bytes, at most; one event over it is admitted alone.
        package var inFlightBytes = 8 * 1_048_576
        /// Silence of JetStream that is taken for a loss.
        package var ackTimeout = Duration.seconds(10)
        /// At most one checkpoint record an interval.
        package var checkpointInterval = Duration.seconds(1)
        /// For how long a stop waits for acks.
        package var shutdownTimeout = Duration.seconds(25)

        /// The defaults.
        package init() {}
    }

    /// The anchor slot's limits.
    package struct Replay: Sendable, Equatable {
        /// Zero: no anchor slot.
        package var window = Duration.seconds(600)
        /// WAL that the anchor may hold back, at most; in bytes.
        package var windowBytes = 1_073_741_824

        /// The defaults.
        package init() {}
    }

    /// The rows that were there before the slot.
    package struct Backfill: Sendable, Equatable {
        /// `schema.table` patterns with `*` and `?`, of published tables; `["*"]` for all, or none.
        package var onFirstStart: [String] = []
        /// Reads the rows, as `source.url`; empty: `source.url` itself.
        package var url = Secret("", shown: "")
        /// A file that holds the same, read again at each connect; nil: none.
        package var urlFile: String?
        /// Rows a second; 0: no limit.
        package var rate = 0
        /// In bytes; 0: no limit.
        package var maxLag = 0

        /// The defaults.
        package init() {}
    }

    /// The operations server.
    package struct HTTP: Sendable, Equatable {
        /// nil: no server.
        package var listen: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 7432)
        /// 0: no limit.
        package var readyMaxLagBytes = 0

        /// The defaults.
        package init() {}
    }

    /// The worker that does observers' actions: a program of its own, `slotstream-observer`.
    package struct ObserverWorker: Sendable, Equatable {
        /// Actions that are done at the same time, at most.
        package var maxConcurrency = 50
        /// Whether one worker works and others stand by, so that an entity's events stay in order.
        package var ordered = true
        /// Whether observers are read from FraiseQL's `tb_observer` too.
        package var database = false
        /// Of `tb_observer` and of database actions, as `source.url`; empty: `source.url` itself.
        package var databaseURL = Secret("", shown: "")
        /// A file that holds the same, read again at each connect; nil: none.
        package var databaseURLFile: String?
        /// Whether a webhook may go to an address of a private network.
        package var allowPrivateHosts = false
        /// A PEM file with the authorities that sign receivers' certificates; nil: the system's.
        package var caFile: String?
        /// For how long a stop waits for what is being done.
        package var shutdownTimeout = Duration.seconds(25)
        /// nil: no server.
        package var listen: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 7433)

        /// The defaults.
        package init() {}
    }

    /// The log, always on stderr.
    package struct Log: Sendable, Equatable {
        /// The least that is logged.
        package var level = LogLevel.info
        /// Lines for people or objects for programs.
        package var format = LogFormat.text
        /// Where the reason of a stop is written for a supervisor; nil: nowhere.
        package var terminationFile: String?

        /// The defaults.
        package init() {}
    }
}
