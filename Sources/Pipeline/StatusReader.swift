import JetStreamPublishing
import PostgresReplication
import WAL

/// What both servers say of slot and stream, whether a streamer runs or not.
public enum StatusReader {
    /// Asks both servers once. One that does not answer is a reason in the status, and `failure`; what the other says is there all the same.
    public static func read(_ configuration: StreamerConfiguration) -> (status: StreamerStatus, failure: StreamerError?) {
        var status = StreamerStatus(
            role: .stopped, live: false, ready: false, reasons: [],
            source: StreamerStatus.Source(slot: configuration.source.slot),
            stream: StreamerStatus.Stream(name: configuration.stream.name))
        var failures: [StreamerError] = []
        do throws(StreamerError) {
            try readSource(configuration, &status)
        } catch {
            failures.append(error)
        }
        do throws(StreamerError) {
            try readStream(configuration, &status)
        } catch {
            failures.append(error)
        }
        if failures.isEmpty, status.role != .active {
            do throws(StreamerError) {
                try judge(configuration, &status)
            } catch {
                // Both have answered: no failure to read them.
                status.reasons.append("\(error)")
            }
        }
        status.reasons += failures.map { "\($0)" }
        return (status, failures.first)
    }

    /// Adds why a streamer would stop at its start, if it would: what ended the last one can be read here after its log is gone.
    private static func judge(
        _ configuration: StreamerConfiguration, _ status: inout StreamerStatus
    ) throws(StreamerError) {
        let servers = try ServerConnections(configuration)
        let (facts, _) = try ServerFacts.gather(
            configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
        guard case .refuse(let reason, let what, let remedy, _) = Recovery.assess(facts) else { return }
        status.reasons.append("a streamer would stop here: \(what). \(remedy)")
        status.lastError = StreamerStatus.LastError(
            reason: reason.rawValue, at: PostgresTimestamp.now.description, message: what)
    }

    private static func readSource(
        _ configuration: StreamerConfiguration, _ status: inout StreamerStatus
    ) throws(StreamerError) {
        do throws(PostgresError) {
            let parameters = configuration.source.connection
            let replication = try ReplicationConnection(parameters)
            let system = try replication.identifySystem()
            status.source.systemId = String(system.systemID)
            status.source.timeline = system.timeline
            status.source.database = system.database
            let sql = try SQLConnection(parameters, isReadOnly: true)
            if let publication = try PublicationContents.read(configuration.source.publication, over: sql) {
                status.source.take(publication)
                if publication.isEmptyByMistake(configuration.source) {
                    status.reasons.append(TableFinding.empty(configuration.source.publication).note)
                }
            }
            guard let slot = try sql.slot(named: configuration.source.slot) else {
                status.reasons.append("slot \(configuration.source.slot) does not exist")
                return
            }
            if slot.isActive { status.role = .active } else { status.reasons.append("no streamer holds the slot") }
            status.source.plugin = slot.plugin
            status.source.walStatus = slot.walStatus
            status.source.confirmedLsn = slot.confirmedFlushLSN?.description
            status.source.lagBytes = slot.confirmedFlushLSN.map { slot.currentWALLSN.byteCount(since: $0) }
            status.source.retainedBytes = slot.retainedByteCount
            status.source.safeBytes = slot.safeWALByteCount
        } catch {
            throw .postgres(error)
        }
    }

    private static func readStream(
        _ configuration: StreamerConfiguration, _ status: inout StreamerStatus
    ) throws(StreamerError) {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.streamInfo(configuration.stream.name)
        }
        guard let info else {
            status.reasons.append("stream \(configuration.stream.name) does not exist")
            return
        }
        status.stream.leader = info.cluster?.leader
        status.stream.firstSequence = info.state.firstSequence
        status.stream.lastSequence = info.state.lastSequence
        status.stream.messages = info.state.messages
        status.stream.bytes = info.state.bytes
        status.stream.replicas = info.config.replicas
        let (record, _) = try ServerFacts.checkpointRecord(of: configuration.stream.name, link.connection)
        guard let record else {
            status.reasons.append("there is no checkpoint record for stream \(configuration.stream.name)")
            return
        }
        status.source.storedLsn = record.confirmedLsn
    }
}

extension StreamerStatus.Source {
    /// What `status` says of the published tables.
    mutating func take(_ publication: PublicationContents) {
        publishedTables = publication.publishedNames.count
        tablesWithoutIdentity = Array(publication.unidentified.map(\.name).prefix(100))
    }
}

extension StreamerStatus {
    /// What the servers say, with what the running streamer says of itself.
    public func adding(_ running: StreamerStatus) -> StreamerStatus {
        var whole = running
        whole.source.confirmedLsn = source.confirmedLsn ?? running.source.confirmedLsn
        whole.source.walStatus = source.walStatus ?? running.source.walStatus
        whole.source.retainedBytes = source.retainedBytes ?? running.source.retainedBytes
        whole.source.safeBytes = source.safeBytes ?? running.source.safeBytes
        whole.source.publishedTables = source.publishedTables ?? running.source.publishedTables
        whole.source.tablesWithoutIdentity = source.tablesWithoutIdentity ?? running.source.tablesWithoutIdentity
        whole.stream = stream
        return whole
    }
}
