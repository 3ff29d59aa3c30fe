/// How to reach the servers, who we are, and how long anything may take.
///
/// Secrets are given as file paths and read when they are needed; they are in no error and no event.
public struct JetStreamConnectionOptions: Sendable {
    /// Where the identity comes from.
    public enum Credentials: Sendable, Hashable {
        /// None, or what stands in the URLs (`nats://user:password@host`, `nats://token@host`).
        case none
        /// A `.creds` file: user JWT and seed, read again at every connect.
        case credentialsFile(String)
        /// A file with an nkey user seed (`SU…`), read again at every connect.
        case nkeySeedFile(String)
        /// A user, and a file whose contents less one trailing newline are the password. Read once: after a change the
        /// connection must be made anew.
        case user(String, passwordFile: String)
        /// A file whose contents less one trailing newline are the token, read again at every connect.
        case tokenFile(String)

        /// Whether a seed signs what the server asks.
        var areSigned: Bool {
            switch self {
            case .credentialsFile, .nkeySeedFile: true
            case .none, .user, .tokenFile: false
            }
        }
    }

    /// PEM files for TLS. An empty value means: the system's authorities, no certificate of our own.
    public struct TLS: Sendable, Hashable {
        /// The authorities to trust, instead of the system's.
        public var caFile: String?
        /// Our certificate chain; needs `keyFile`.
        public var certificateFile: String?
        /// The key of our certificate; needs `certificateFile`.
        public var keyFile: String?

        /// Names the files; nil for those that are not used.
        public init(caFile: String? = nil, certificateFile: String? = nil, keyFile: String? = nil) {
            self.caFile = caFile
            self.certificateFile = certificateFile
            self.keyFile = keyFile
        }
    }

    /// `nats://` or `tls://` or bare `host:port`, tried in this order. Any `tls://` among them, or any file in `tls`, makes
    /// TLS a must for all. Credentials in them must be the same in all that have some.
    public var urls: [String]
    /// What the server shows as this client's name.
    public var name: String
    /// Who we are; anything but `.none` goes before what stands in the URLs.
    public var credentials: Credentials
    /// Files for TLS.
    public var tls: TLS
    /// For one attempt at one server, from dialling to its first PONG.
    public var connectTimeout: Duration = .seconds(2)
    /// After `pingsOutstandingLimit` of these without an answer the connection counts as dead.
    public var pingInterval: Duration = .seconds(5)
    /// How many PINGs may be unanswered.
    public var pingsOutstandingLimit = 2
    /// How long a publish may block while the socket is full; then the connection is given up and made anew. Below half of
    /// the replication session's `wal_sender_timeout`, so that a frozen server does not cost the PostgreSQL connection.
    public var writeDeadline: Duration = .seconds(1)
    /// Between two rounds of attempts at reconnecting.
    public var reconnectWait: Duration = .milliseconds(250)
    /// What is added to `reconnectWait` at most, at random.
    public var reconnectJitter: Duration = .milliseconds(250)
    /// libnats' write buffer in bytes: at 256 KiB a third more messages a second than at its own 32 KiB.
    public var writeBufferByteCount = 256 * 1_024
    /// For tests: what is done where libnats lays out its messages otherwise than we know.
    var leavesMessagesToLibnats = false
    /// Whether what we publish is kept from our own subscriptions.
    public var noEcho = true
    /// How long libnats may hold its lock before ``JetStreamConnection/isWedged`` says so. Longer than any name
    /// resolution takes.
    public var wedgedAfter: Duration = .seconds(60)

    /// Whether TLS is a must.
    public var usesTLS: Bool { tls != TLS() || urls.contains { (try? ServerURL($0))?.isTLS == true } }

    /// Whether no name is given, neither here nor in a URL nor by a certificate.
    public var isAnonymous: Bool { credentials == .none && tls.certificateFile == nil && urls.allSatisfy { (try? ServerURL($0))?.credentials == nil } }

    /// The same servers without a name.
    public var anonymous: JetStreamConnectionOptions {
        var options = self
        options.credentials = .none
        options.tls.certificateFile = nil
        options.tls.keyFile = nil
        options.urls = urls.compactMap { (try? ServerURL($0))?.text }
        return options
    }

    /// Options with the defaults above.
    public init(
        urls: [String], name: String = "slotstream", credentials: Credentials = .none, tls: TLS = TLS()
    ) {
        self.urls = urls
        self.name = name
        self.credentials = credentials
        self.tls = tls
    }
}
