public import Capture
import Pipeline

/// Everything an operator can choose, checked: one nested struct for each table of the file.
///
/// `Configuration()` is the defaults; `load` is how a program gets one. A value in here has passed its key's rule (`ConfigurationKey.all`).
public struct Configuration: Sendable, Equatable {
    /// `[source]`
    public var source = Source()
    /// `[transport.nats]`
    public var nats = NATS()
    /// `[transport.nats.jetstream]`
    public var jetStream = JetStream()
    /// `[events]`
    public var events = Events()
    /// `[delivery]`
    public var delivery = Delivery()
    /// `[replay]`
    public var replay = Replay()
    /// `[http]`
    public var http = HTTP()
    /// `[log]`
    public var log = Log()

    /// The defaults: what an empty file and an empty environment give.
    public init() {}

    /// The PostgreSQL side.
    public struct Source: Sendable, Equatable {
        /// A libpq conninfo, as a URI or as keywords; empty: libpq's own `PG…` variables decide.
        public var url = Secret("", shown: "")
        /// The file that `url` was read from, as it was written; nil: none.
        public var urlFile: String?
        /// A file with the connection string of the role that calls the casts of `events.casts`, read again at each connect.
        public var castURLFile: String?
        /// Matches `[a-z0-9_]{1,63}`, and leaves room for the anchor's suffix while there is a replay window.
        public var slot = "fraiseql_events"
        /// An identifier as it is stored in `pg_publication`, unquoted.
        public var publication = "fraiseql_events"
        /// `schema.table` patterns with `*` and `?`, exactly `["*"]` for all tables, or none.
        public var tables = StreamerConfiguration.Source.defaultTables
        /// Whether the slot is to follow a promotion (PostgreSQL 17 and later).
        public var failover = true
        /// `off` in this version.
        public var streaming = StreamingMode.off
        /// Asked for on the replication connection only.
        public var walSenderTimeout = Duration.seconds(3)
        /// A walsender that has answered nothing for so long is given up.
        public var silenceLimit = Duration.seconds(900)

        /// The defaults.
        public init() {}
    }

    /// The connection to NATS and the names of what is used there.
    public struct NATS: Sendable, Equatable {
        /// At least one `nats://` or `tls://` URL; `value` may hold a user and password.
        public var urls = [Secret("nats://localhost:4222", shown: "nats://localhost:4222")]
        /// Valid as a stream's name and as a key of a key-value bucket.
        public var streamName = "fraiseql_events"
        /// Dot-separated tokens without wildcards.
        public var subjectPrefix = "fraiseql.mutation"
        /// The durable consumer that `setup` makes; nil: none.
        public var consumerName: String? = "fraiseql_observer_worker"
        /// At most one of `credentialsFile`, `nkeySeedFile`, `user` with `passwordFile`, and `tokenFile` is set; each file was readable when loaded.
        public var credentialsFile: String?
        /// A file with an nkey's seed in it.
        public var nkeySeedFile: String?
        /// Set together with `passwordFile` or not at all.
        public var user: String?
        /// A file with the user's password in it.
        public var passwordFile: String?
        /// A file with a token in it.
        public var tokenFile: String?
        /// What TLS needs beyond the system's own; a `tls://` URL needs none of it.
        public var tls = TLS()

        /// The defaults.
        public init() {}
    }

    /// `[transport.nats.tls]`: paths of PEM files, each readable when loaded.
    public struct TLS: Sendable, Equatable {
        /// nil: the system's certificate authorities.
        public var caFile: String?
        /// The client's certificate; set together with `keyFile` or not at all.
        public var certificateFile: String?
        /// The private key of `certificateFile`.
        public var keyFile: String?

        /// The defaults.
        public init() {}
    }

    /// What the stream and the consumer are created with. An existing one is never altered.
    public struct JetStream: Sendable, Equatable {
        /// -1: no limit.
        public var maxBytes = 10_737_418_240
        /// Whole days; zero: no limit.
        public var maxAge = Duration.seconds(7 * 86_400)
        /// -1: no limit.
        public var maxMessages = -1
        /// Whole minutes, 1 to 60; always shorter than `maxAge`, whose least is a day.
        public var duplicateWindow = Duration.seconds(5 * 60)
        /// The consumer's; whole seconds.
        public var ackWait = Duration.seconds(30)
        /// The consumer's; -1: no limit.
        public var maxDeliver = 3
        /// 1 to 5.
        public var replicas = 1

        /// The defaults.
        public init() {}
    }

    /// What becomes an event, and how it looks.
    public struct Events: Sendable, Equatable {
        /// What an event's JSON looks like.
        public var format = EventFormat.slotstream
        /// Begins with `{prefix}.`; every placeholder in it is known.
        public var subject = "{prefix}.{entity}.{operation}"
        /// Cut from table names to make entities.
        public var tablePrefixes = ["tb_"]
        /// `schema.table` or `schema.table:OPERATION`, with `*` and `?`.
        public var exclude: [String] = []
        /// Prefixes of logical messages that are events.
        public var messagePrefixes = ["fraiseql_events"]
        /// What happens with a change that cannot be an event.
        public var onPoison = PoisonPolicy.quarantine
        /// `schema.type`: types whose cast to json is called though it is a user's own code.
        public var casts: [String] = []
        /// `schema.table` → entity.
        public var entities: [String: String] = [:]
        /// `schema.table` → columns of `entity_id`.
        public var identity: [String: [String]] = [:]
        /// `schema.table` → columns that are written nowhere.
        public var excludedColumns: [String: [String]] = [:]
        /// `schema.table` → column → what stands for its values.
        public var masks: [String: [String: ColumnMask]] = [:]
        /// A file with the key of `hmac` masks in it; set when there is one, and readable when loaded.
        public var maskKeyFile: String?
        /// What is in `maskKeyFile`, less one trailing newline; nil where there is none that can be read.
        public var maskKey: SecretBytes?

        /// The defaults.
        public init() {}
    }

    /// The window between reading and acknowledging.
    public struct Delivery: Sendable, Equatable {
        /// Whether consumers see a transaction whole or not at all.
        public var atomic = AtomicMode.off
        /// Events handed to NATS and not yet stored, at most.
        public var inFlightMessages = 4096
        /// Their bytes, at most; one event over it is admitted alone.
        public var inFlightBytes = 8 * 1_048_576
        /// Silence of JetStream that is taken for a loss.
        public var ackTimeout = Duration.seconds(10)
        /// At most one checkpoint record an interval.
        public var checkpointInterval = Duration.seconds(1)

        /// The defaults.
        public init() {}
    }

    /// The anchor slot's limits. Accepted by this version; nothing reads them yet.
    public struct Replay: Sendable, Equatable {
        /// Zero: no anchor slot.
        public var window = Duration.seconds(600)
        /// WAL that the anchor may hold back, at most; in bytes.
        public var windowBytes = 1_073_741_824

        /// The defaults.
        public init() {}
    }

    /// The operations server.
    public struct HTTP: Sendable, Equatable {
        /// nil: no server.
        public var listen: ListenAddress? = ListenAddress(host: "127.0.0.1", port: 7432)
        /// 0: no limit.
        public var readyMaxLagBytes = 0

        /// The defaults.
        public init() {}
    }

    /// The log, always on stderr.
    public struct Log: Sendable, Equatable {
        /// The least that is logged.
        public var level = LogLevel.info
        /// Lines for people or objects for programs.
        public var format = LogFormat.text

        /// The defaults.
        public init() {}
    }
}
