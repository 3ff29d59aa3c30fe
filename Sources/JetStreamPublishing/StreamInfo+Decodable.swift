// The server's JSON, with its names and its habit of leaving defaults out.

extension StreamInfo: Decodable {
    private enum CodingKeys: String, CodingKey {
        case config, state, created, cluster
        case time = "ts"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        config = try values.decode(Config.self, forKey: .config)
        state = try values.decode(State.self, forKey: .state)
        created = try values.decodeIfPresent(String.self, forKey: .created) ?? ""
        cluster = try values.decodeIfPresent(Cluster.self, forKey: .cluster)
        time = try values.decodeIfPresent(String.self, forKey: .time)
        raw = []
    }
}

extension StreamInfo.Config: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, subjects, retention, storage, discard, sealed, mirror, sources, metadata
        case duplicateWindow = "duplicate_window"
        case maxAge = "max_age"
        case maxBytes = "max_bytes"
        case maxMessages = "max_msgs"
        case maxMessageSize = "max_msg_size"
        case maxMessagesPerSubject = "max_msgs_per_subject"
        case replicas = "num_replicas"
        case noAck = "no_ack"
        case allowDirect = "allow_direct"
        case allowAtomic = "allow_atomic"
        case allowBatched = "allow_batched"
        case allowRollup = "allow_rollup_hdrs"
        case denyDelete = "deny_delete"
        case denyPurge = "deny_purge"
        case discardNewPerSubject = "discard_new_per_subject"
        case subjectTransform = "subject_transform"
        case allowMessageTTL = "allow_msg_ttl"
        case subjectDeleteMarkerTTL = "subject_delete_marker_ttl"
        case allowMessageSchedules = "allow_msg_schedules"
        case allowMessageCounter = "allow_msg_counter"
        case persistMode = "persist_mode"
        case firstSequence = "first_seq"
    }

    /// Only that it is there, and whose stream it names.
    private struct Origin: Decodable {
        var name: String?
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func flag(_ key: CodingKeys) throws -> Bool { try values.decodeIfPresent(Bool.self, forKey: key) ?? false }
        func number(_ key: CodingKeys, _ absent: Int64) throws -> Int64 {
            try values.decodeIfPresent(Int64.self, forKey: key) ?? absent
        }
        name = try values.decode(String.self, forKey: .name)
        subjects = try values.decodeIfPresent([String].self, forKey: .subjects) ?? []
        retention = try values.decodeIfPresent(String.self, forKey: .retention) ?? "limits"
        storage = try values.decodeIfPresent(String.self, forKey: .storage) ?? "file"
        discard = try values.decodeIfPresent(String.self, forKey: .discard) ?? "old"
        duplicateWindowNanoseconds = try number(.duplicateWindow, 0)
        maxAgeNanoseconds = try number(.maxAge, 0)
        maxBytes = try number(.maxBytes, -1)
        maxMessages = try number(.maxMessages, -1)
        maxMessageSize = try number(.maxMessageSize, -1)
        maxMessagesPerSubject = try number(.maxMessagesPerSubject, -1)
        replicas = try values.decodeIfPresent(Int.self, forKey: .replicas) ?? 1
        noAck = try flag(.noAck)
        sealed = try flag(.sealed)
        allowDirect = try flag(.allowDirect)
        allowAtomic = try flag(.allowAtomic)
        allowBatched = try flag(.allowBatched)
        allowRollup = try flag(.allowRollup)
        denyDelete = try flag(.denyDelete)
        denyPurge = try flag(.denyPurge)
        discardNewPerSubject = try flag(.discardNewPerSubject)
        mirror = try values.decodeIfPresent(Origin.self, forKey: .mirror).map { $0.name ?? "" }
        sources = try values.decodeIfPresent([Origin].self, forKey: .sources)?.map { $0.name ?? "" } ?? []
        hasSubjectTransform = try values.decodeIfPresent(Origin.self, forKey: .subjectTransform) != nil
        allowMessageTTL = try flag(.allowMessageTTL)
        subjectDeleteMarkerTTLNanoseconds = try number(.subjectDeleteMarkerTTL, 0)
        allowMessageSchedules = try flag(.allowMessageSchedules)
        allowMessageCounter = try flag(.allowMessageCounter)
        persistMode = try values.decodeIfPresent(String.self, forKey: .persistMode)
        firstSequence = try values.decodeIfPresent(UInt64.self, forKey: .firstSequence) ?? 0
        metadata = try values.decodeIfPresent([String: String].self, forKey: .metadata) ?? [:]
    }
}

extension StreamInfo.State: Decodable {
    private enum CodingKeys: String, CodingKey {
        case messages, bytes
        case firstSequence = "first_seq"
        case lastSequence = "last_seq"
        case firstTime = "first_ts"
        case lastTime = "last_ts"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        messages = try values.decode(UInt64.self, forKey: .messages)
        bytes = try values.decode(UInt64.self, forKey: .bytes)
        firstSequence = try values.decode(UInt64.self, forKey: .firstSequence)
        lastSequence = try values.decode(UInt64.self, forKey: .lastSequence)
        firstTime = try values.decodeIfPresent(String.self, forKey: .firstTime) ?? ""
        lastTime = try values.decodeIfPresent(String.self, forKey: .lastTime) ?? ""
    }
}

extension StreamInfo.Cluster: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, leader, replicas
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        func name(_ key: CodingKeys) throws -> String? {
            try values.decodeIfPresent(String.self, forKey: key).flatMap { $0.isEmpty ? nil : $0 }
        }
        self.name = try name(.name)
        leader = try name(.leader)
        replicas = try values.decodeIfPresent([StreamInfo.Peer].self, forKey: .replicas) ?? []
    }
}

extension StreamInfo.Peer: Decodable {
    private enum CodingKeys: String, CodingKey {
        case name, lag
        case isCurrent = "current"
        case isOffline = "offline"
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        name = try values.decodeIfPresent(String.self, forKey: .name) ?? ""
        isCurrent = try values.decodeIfPresent(Bool.self, forKey: .isCurrent) ?? false
        isOffline = try values.decodeIfPresent(Bool.self, forKey: .isOffline) ?? false
        lag = try values.decodeIfPresent(UInt64.self, forKey: .lag) ?? 0
    }
}
