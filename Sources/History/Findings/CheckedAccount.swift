package import JetStreamPublishing

/// What NATS says of server and account, for `check`.
package struct CheckedAccount: Sendable {
    package var stream: StreamConfiguration
    /// All that our user needs.
    package var neededRights: NATSRights
    package var version: String?
    /// Of the stream that is there, or that is to be made.
    package var replicas: Int
    /// In bytes; nil: no limit, or not for this user to know.
    package var storageLimit: Int64?
    /// What streams of the account have stored or reserved, ours among them.
    package var storageTaken: Int64 = 0
    /// What our stream may store; nil: there is none yet.
    package var streamLimit: Int64?
    /// What the connection lacks; nil: it is safe.
    package var exposure: String?
    /// Subjects that we may not publish to.
    package var missingRights: [String] = []
    /// Of ``NATSRights/lesser``.
    package var missingLesserRights: [(subject: String, consequence: String)] = []
    /// Streams that capture our subjects, where ours is still to be made.
    package var takenBy: [String] = []
    /// A prefix that no stream captures.
    package var freePrefix: String?
    /// We give no name ourselves.
    package var isAnonymous = false
    /// Whoever gives no name may publish events.
    package var othersMayPublish = false
    /// Whoever gives no name may delete messages of streams.
    package var othersMayDelete = false
    /// Between PostgreSQL's clock and nats-server's; nil: one did not say.
    package var clockDifference: Double?

    package init(stream: StreamConfiguration, neededRights: NATSRights, replicas: Int) {
        self.stream = stream
        self.neededRights = neededRights
        self.replicas = replicas
    }

    /// What is wrong with server, account and rights.
    package var findings: [Finding] { versions + room + rights + clocks }

    private var versions: [Finding] {
        guard let version, let number = ServerVersion(version) else { return [] }
        if number < ServerVersion(2, 10, 0), let storageLimit { return [.storageLimit(storageLimit, version: version)] }
        guard replicas > 1, number >= ServerVersion(2, 10, 0), number < ServerVersion(2, 12, 0) else { return [] }
        return [
            Finding(
                .serverVersionFault, "nats-server",
                "nats-server \(version) can keep the id of a message that was refused, on streams with replicas",
                why: "an event can wait for the whole duplicate window", fix: "Use nats-server 2.12.1 or newer")
        ]
    }

    private static let mebibyte: Int64 = 1024 * 1024

    private var room: [Finding] {
        guard let storageLimit else { return [] }
        let free = storageLimit - storageTaken + max(0, streamLimit ?? 0)
        let wanted = max(streamLimit ?? stream.maxBytes, stream.maxBytes)
        guard wanted > free else { return [] }
        let fitting = max(1, free * 3 / 4 / Self.mebibyte)
        return [
            Finding(
                .noRoom, "stream \(stream.name)",
                "\(wanted / Self.mebibyte) MiB (max_bytes) is more than the \(max(0, free) / Self.mebibyte) MiB that JetStream has for the account",
                why: "JetStream refuses the stream, or events", paste: .setting("transport.nats.jetstream.max_bytes = \"\(fitting)MiB\""))
        ]
    }

    private var rights: [Finding] {
        var findings: [Finding] = []
        if !missingRights.isEmpty { findings.append(.permissionsMissing(missingRights, neededRights)) }
        if let finding = Finding.lesserPermissionsMissing(missingLesserRights, neededRights) { findings.append(finding) }
        if !takenBy.isEmpty { findings.append(.subjectsTaken(stream.subject, of: stream.name, by: takenBy, free: freePrefix)) }
        if let exposure { findings.append(.connectionOpenToOthers("NATS", exposure: exposure, fix: Finding.verifiesNATS)) }
        if othersMayPublish { findings.append(anybodyPublishes) }
        return findings
    }

    private var anybodyPublishes: Finding {
        let block =
            isAnonymous
            ? "authorization: { users: [ { user: slotstream, password: \"PASSWORD\", \(neededRights.permissions) } ] }"
            : "permissions: { publish: { deny: [\"\(stream.subjectPrefix).>\", \"$JS.API.STREAM.>\"] } }"
        return Finding(
            .othersMayPublish, "prefix \(stream.subjectPrefix)", "clients without a name may publish to \(stream.subjectPrefix).>",
            why: isAnonymous
                ? "nats-server asks nobody for a name, and consumers cannot tell other messages from events"
                : "no_auth_user of nats-server may publish to the prefix, and consumers cannot tell other messages from events",
            paste: .natsServer(block))
    }

    /// Clocks that are kept by NTP differ by less.
    private static let tolerance = 2.0

    private var clocks: [Finding] {
        guard let clockDifference, abs(clockDifference) > Self.tolerance else { return [] }
        let ahead = clockDifference > 0 ? "ahead of" : "behind"
        return [
            Finding(
                .clocksDiffer, "clocks", "the clock of PostgreSQL's server is \(Int(abs(clockDifference))) s \(ahead) that of nats-server",
                why: "ages, retention and replays by time are wrong by the difference", paste: .command("timedatectl set-ntp true"))
        ]
    }
}
