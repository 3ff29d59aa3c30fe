package import PostgresReplication

/// What PostgreSQL says of itself, for `check`. nil: unknown, not of this version, or not for this role to know.
package struct CheckedServer: Sendable {
    /// A transaction that is open for long.
    package struct OpenTransaction: Sendable {
        /// As ``Finding/heldBack(by:statement:)`` says it.
        package var holder: String
        /// What ends it.
        package var statement: String

        package init(holder: String, statement: String) {
            self.holder = holder
            self.statement = statement
        }
    }

    /// What decoding wrote to disk for our slot.
    package struct Spilled: Sendable {
        package var transactionCount: Int64
        package var byteCount: Int64
        package var decodedByteCount: Int64

        package init(transactionCount: Int64, byteCount: Int64, decodedByteCount: Int64) {
            self.transactionCount = transactionCount
            self.byteCount = byteCount
            self.decodedByteCount = decodedByteCount
        }
    }

    /// The file system of `pg_wal`, where this process can see it.
    package struct Disk: Sendable {
        package var freeByteCount: UInt64
        package var byteCount: UInt64

        package init(freeByteCount: UInt64, byteCount: UInt64) {
            self.freeByteCount = freeByteCount
            self.byteCount = byteCount
        }
    }

    /// As libpq gives it: 150018 is 15.18.
    package var version: Int
    /// By name, as `pg_settings` has them: numbers without units.
    package var settings: [String: String]
    /// All slots of the server.
    package var slots: [SlotState]
    /// Ours; its anchor is named after it.
    package var slotName: String
    package var senderCount: Int?
    package var walBytesPerSecond: Double?
    package var openTransactions: [OpenTransaction] = []
    package var spilled: Spilled?
    package var disk: Disk?
    /// There is to be an anchor beside our slot.
    package var isWindowWanted = false

    package init(version: Int, settings: [String: String], slots: [SlotState], slotName: String) {
        self.version = version
        self.settings = settings
        self.slots = slots
        self.slotName = slotName
    }

    private var slot: SlotState? { slots.first { $0.name == slotName } }

    private func number(_ name: String) -> Int? { settings[name].flatMap { Int($0) } }

    /// What is wrong with the server.
    package var findings: [Finding] {
        limits + slotLimits + versions + openTransactions.map { .heldBack(by: $0.holder, statement: $0.statement) } + spills + standbys + disks
            + otherSlots
    }

    /// Whether a slot may be made with `pgoutput`.
    /// - Parameter libraries: The text of `output_plugin_libraries`.
    package static func allowsPlugin(_ libraries: String) -> Bool { self.libraries(libraries).contains("pgoutput") }

    /// The names in a setting that is a list: in double quotes where a name needs them.
    static func libraries(_ setting: String) -> [String] {
        var names = [""]
        var isQuoted = false
        for character in setting {
            switch character {
            case "\"": isQuoted.toggle()
            case "," where !isQuoted: names.append("")
            case " " where !isQuoted: break
            default: names[names.count - 1].append(character)
            }
        }
        return names.filter { !$0.isEmpty }
    }

    /// What stops a first start.
    private var limits: [Finding] {
        var findings: [Finding] = []
        if version < 190_000, let level = settings["wal_level"], level != "logical" { findings.append(.walLevel(level)) }
        // Minor versions of before that allow every plugin.
        if let allowed = settings["output_plugin_libraries"], !Self.allowsPlugin(allowed) { findings.append(.pluginForbidden(allowed)) }
        let hasWindow = !isWindowWanted || slots.contains { $0.name == ReplayWindow.anchor(of: slotName) }
        if slot == nil || !hasWindow, let limit = number("max_replication_slots"), slots.count >= limit {
            // Without a window the streamer streams all the same.
            findings.append(
                .noFreeSlot(
                    limit: limit, idleCount: String(slots.count { !$0.isActive }), severity: slot == nil ? .error : .warning))
        }
        // Who streams has a walsender already.
        if slot?.isActive != true, let limit = number("max_wal_senders"), let senderCount, senderCount >= limit {
            findings.append(.noFreeSender(limit: limit))
        }
        return findings
    }

    private static let megabyte = 1024.0 * 1024
    private static let day = 86_400.0

    /// What a slot may hold, in megabytes: a day of the present WAL, and no less than 10 GB.
    private var enoughMegabytes: Int {
        max(10_240, Int((walBytesPerSecond ?? 0) * Self.day / Self.megabyte / 1024 + 1) * 1024)
    }

    private var slotLimits: [Finding] {
        var findings: [Finding] = []
        if let limit = number("max_slot_wal_keep_size") {
            let paste = Paste.reloading("max_slot_wal_keep_size", "'\(enoughMegabytes)MB'")
            if limit < 0 {
                findings.append(
                    Finding(
                        .slotWALUnlimited, "max_slot_wal_keep_size", "max_slot_wal_keep_size is -1, without a limit",
                        why: "a stopped streamer can fill the disk of PostgreSQL", paste: paste))
            } else if let rate = walBytesPerSecond, Double(limit) * Self.megabyte < rate * 3600 {
                findings.append(
                    Finding(
                        .slotWALShort, "max_slot_wal_keep_size",
                        "max_slot_wal_keep_size is \(limit) MB, and PostgreSQL writes \(Int(rate * 3600 / Self.megabyte)) MB of WAL an hour at present",
                        why: "a streamer that is stopped for less than an hour loses the slot", paste: paste))
            }
        }
        if let timeout = number("idle_replication_slot_timeout"), timeout > 0, Double(timeout) < Self.day {
            findings.append(
                Finding(
                    .idleSlotTimeout, "idle_replication_slot_timeout", "idle_replication_slot_timeout is \(timeout) s",
                    why: "a streamer that is stopped for that long loses the slot", paste: .reloading("idle_replication_slot_timeout", "0")))
        }
        return findings
    }

    private var versions: [Finding] {
        let major = version / 10_000
        let minor = version % 10_000
        return MinorVersionFault.known.filter { $0.major == major && minor < $0.mendedBy }.map { fault in
            Finding(
                .faultyMinorVersion, "PostgreSQL \(major).\(minor)", "PostgreSQL \(major).\(minor) \(fault.fault) (\(fault.source))",
                fix: "Update PostgreSQL to \(major).\(fault.mendedBy) or newer")
        }
    }

    /// Spilling less than this share of what is decoded is what large transactions do.
    private static let spilledShare = 4

    private var spills: [Finding] {
        guard let spilled, spilled.transactionCount > 0, spilled.byteCount > spilled.decodedByteCount / Int64(Self.spilledShare) else {
            return []
        }
        let each = Double(spilled.byteCount / spilled.transactionCount) / Self.megabyte
        let wanted = min(1024, max(128, Int(each / 64 + 1) * 128))
        var paste = Paste.SQL(statements: [], isByHand: false)
        paste.statements = [
            "ALTER SYSTEM SET logical_decoding_work_mem = '\(wanted)MB'", "SELECT pg_reload_conf()",
            "SELECT pg_stat_reset_replication_slot(\(quoteLiteral(slotName)))",
        ]
        return [
            Finding(
                .decodingSpills, "logical_decoding_work_mem",
                "PostgreSQL wrote \(spilled.transactionCount) transactions (\(spilled.byteCount) bytes) to disk while decoding slot \(slotName)",
                why: "they are larger than logical_decoding_work_mem", paste: .sql(paste))
        ]
    }

    private var standbys: [Finding] {
        let text = settings["synchronized_standby_slots"] ?? ""
        let names = text.split(separator: ",").map { $0.filter { $0 != " " && $0 != "\"" } }
        let away = names.filter { name in !slots.contains { $0.name == name && $0.isActive } }
        guard let first = away.first else { return [] }
        let present = names.filter { !away.contains($0) }.joined(separator: ", ")
        return [
            Finding(
                .standbyAway, "synchronized_standby_slots", "synchronized_standby_slots names \(first), but no standby uses this slot",
                why: "every logical walsender waits for the standby, and so does the streamer",
                paste: .reloading("synchronized_standby_slots", quoteLiteral(present)))
        ]
    }

    private var disks: [Finding] {
        guard let disk, disk.byteCount > 0 else { return [] }
        let held = Int64(slot?.retainedByteCount ?? 0)
        let allowed = number("max_slot_wal_keep_size").map { $0 < 0 ? 0 : Int64($0) * 1024 * 1024 } ?? 0
        let needed = max(Int64(disk.byteCount / 20), allowed - held)
        guard Int64(clamping: disk.freeByteCount) < needed else { return [] }
        let free = Int64(disk.freeByteCount / 1024 / 1024)
        return [
            Finding(
                .walDiskFull, "pg_wal", "the disk of pg_wal has \(free) MB free, and slots may still hold \(max(0, allowed - held) / 1024 / 1024) MB more",
                fix: "Make room on the disk, or lower max_slot_wal_keep_size")
        ]
    }

    /// What another slot may hold beside ours.
    private static let otherSlotByteLimit: UInt64 = 64 * 1024 * 1024

    private var otherSlots: [Finding] {
        let others = slots.filter { $0.name != slotName && $0.name != ReplayWindow.anchor(of: slotName) && !$0.isActive && !$0.isTemporary }
        return others.filter { ($0.retainedByteCount ?? 0) > Self.otherSlotByteLimit }.map { other in
            Finding(
                .otherSlotHoldsWAL, "slot \(other.name)",
                "slot \(other.name), which nobody uses, holds \((other.retainedByteCount ?? 0) / 1024 / 1024) MB of WAL",
                why: "the WAL fills the disk of PostgreSQL",
                paste: .sql("SELECT pg_drop_replication_slot(\(quoteLiteral(other.name)))", isByHand: true))
        }
    }
}

/// A fault of logical decoding in minor versions of PostgreSQL.
struct MinorVersionFault {
    var major: Int
    /// The first minor version without the fault.
    var mendedBy: Int
    var fault: String
    var source: String

    /// Source: PostgreSQL's release notes of 2025-05-08 and 2025-08-14.
    static let known: [MinorVersionFault] =
        [(15, 13), (16, 9), (17, 5)].map { major, minor in
            MinorVersionFault(
                major: major, mendedBy: minor, fault: "can lose changes of tables that a publication gets while they are written",
                source: "https://www.postgresql.org/docs/release/\(major).\(minor)/")
        }
        + [(15, 14), (16, 10), (17, 6)].map { major, minor in
            MinorVersionFault(
                major: major, mendedBy: minor, fault: "can run out of memory where many transactions with DDL run side by side",
                source: "https://www.postgresql.org/docs/release/\(major).\(minor)/")
        }
}
