import Capture

/// The rules that take more than one key.
struct ConfigurationChecks {
    /// What the keys came to; a refused key has its default here.
    let configuration: Configuration
    /// By the key's path.
    let origins: [String: ValueOrigin]
    /// The file that was read, if any.
    let file: ConfigurationFile?

    /// What PostgreSQL leaves of 63 bytes for a slot's name when `_anchor` follows it.
    private static let anchoredSlotByteCountLimit = 56

    /// What is wrong, one complaint for each rule that is broken.
    var complaints: [Complaint] {
        var complaints = authenticationComplaints
        let source = configuration.source
        if source.urlFile != nil, !source.url.value.isEmpty, !isFromFile("source.url") {
            complaints.append(complaint("source.url_file", .excludes("source.url")))
        }
        if configuration.backfill.urlFile != nil, !configuration.backfill.url.value.isEmpty {
            complaints.append(complaint("backfill.url_file", .excludes("backfill.url")))
        }
        let worker = configuration.observerWorker
        if worker.databaseURLFile != nil, !worker.databaseURL.value.isEmpty {
            complaints.append(complaint("observer_worker.database_url_file", .excludes("observer_worker.database_url")))
        }
        if configuration.replay.window > .zero, source.slot.utf8.count > Self.anchoredSlotByteCountLimit {
            let allowed =
                "at most \(Self.anchoredSlotByteCountLimit) characters while replay.window is not \"0\": the anchor slot's name adds \"_anchor\""
            complaints.append(
                complaint("source.slot", .badValue(shown: ShownValue.quoted(source.slot), allowed: allowed)))
        }
        complaints += partnerComplaints("transport.nats.tls.certificate_file", "transport.nats.tls.key_file")
        complaints += partnerComplaints("transport.nats.user", "transport.nats.password_file")
        return complaints + columnComplaints + reservedComplaints
    }

    /// Rules for columns that contradict each other, or cannot be followed.
    private var columnComplaints: [Complaint] {
        var complaints: [Complaint] = []
        let events = configuration.events
        let needsKey = events.masks.values.contains { $0.values.contains(.hmac) }
        if needsKey, events.maskKeyFile == nil {
            complaints.append(complaint("events.columns.mask", .needs("events.mask_key_file")))
        }
        if let path = events.maskKeyFile, needsKey, events.maskKey?.value.isEmpty == true {
            complaints.append(
                complaint(
                    "events.mask_key_file",
                    .keyFileUnreadable(path: Redaction.path(path), reason: "the file has no key")))
        }
        if !events.casts.isEmpty, configuration.source.castURLFile == nil {
            complaints.append(complaint("events.casts", .needs("source.cast_url_file")))
        }
        let identities = events.identityNames(mayBeAbsent: false).merging(
            events.identityNames(mayBeAbsent: true), uniquingKeysWith: +)
        for (table, columns) in events.excludedNames.sorted(by: { $0.key < $1.key }) {
            for column in columns {
                // An identity that is written nowhere is none.
                if identities[table]?.contains(column) == true {
                    complaints.append(contradiction("events.identity", table, column))
                }
                if events.maskedNames[table]?[column] != nil {
                    complaints.append(contradiction("events.columns.mask", table, column))
                }
            }
        }
        return complaints
    }

    /// Names and subjects that are Slotstream's own. Where a row decides on the subject, the event is poison.
    private var reservedComplaints: [Complaint] {
        let events = configuration.events
        // A refused template has its complaint, and the default in its place.
        let template = try? SubjectTemplate(events.subject)
        let isReserved = { (entity: String?) in
            template?.isReserved(prefix: configuration.nats.subjectPrefix, entity: entity) ?? false
        }
        if isReserved(nil) {
            return [
                complaint(
                    "events.subject",
                    .badValue(
                        shown: ShownValue.quoted(events.subject),
                        allowed: "another template: with this prefix, this template makes the token \(ReservedEntity.name), which is Slotstream's own"))
            ]
        }
        return events.entities.sorted { $0.key < $1.key }.compactMap { table, entity in
            let allowed: String
            if ReservedEntity.isReserved(entity) {
                allowed = "another entity: \(ReservedEntity.name) is Slotstream's own, in any case"
            } else if isReserved(entity) {
                allowed = "another entity: events.subject makes of this one the token \(ReservedEntity.name), which is Slotstream's own"
            } else {
                return nil
            }
            return Complaint(
                origin: file?.origin(of: table, in: "events.entities") ?? .defaultValue, key: "events.entities",
                problem: .badValue(shown: "\(ShownValue.quoted(table)): \(ShownValue.quoted(entity))", allowed: allowed))
        }
    }

    private func contradiction(_ key: String, _ table: String, _ column: String) -> Complaint {
        let shown = "\(ShownValue.quoted(table)): \(ShownValue.quoted(column))"
        return complaint(
            key, .badValue(shown: shown, allowed: "another column: events.columns.exclude excludes this column"))
    }

    /// Of the ways to authenticate with NATS, one at most.
    private var authenticationComplaints: [Complaint] {
        var ways = ["credentials_file", "nkey_seed_file", "user", "token_file"].map { "transport.nats." + $0 }.filter(
            isSet)
        if configuration.nats.urls.contains(where: { $0.value.contains("@") }) {
            ways.insert("transport.nats.url", at: 0)
        }
        guard let first = ways.first else { return [] }
        return ways.dropFirst().map { complaint($0, .excludes(first)) }
    }

    private func partnerComplaints(_ left: String, _ right: String) -> [Complaint] {
        switch (isSet(left), isSet(right)) {
        case (true, false): [complaint(left, .needs(right))]
        case (false, true): [complaint(right, .needs(left))]
        case (true, true), (false, false): []
        }
    }

    /// Whether the key has a value other than none. A refused value counts as none: it has its complaint.
    private func isSet(_ path: String) -> Bool {
        guard let key = ConfigurationKey.byPath[path] else { return false }
        return key.show(configuration) != .string("")
    }

    private func isFromFile(_ path: String) -> Bool {
        if case .contents = origins[path] { return true }
        return false
    }

    private func complaint(_ key: String, _ problem: Complaint.Problem) -> Complaint {
        Complaint(origin: origins[key] ?? .defaultValue, key: key, problem: problem)
    }
}
