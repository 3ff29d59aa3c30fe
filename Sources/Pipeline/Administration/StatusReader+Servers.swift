import History
import JetStreamPublishing
import PostgresReplication
import Threads
import WAL

/// The questions to each server: what is asked first decides, what follows only adds to it.
extension StatusReader {
    static func readSource(_ reading: Reading) {
        let configuration = reading.configuration
        defer { reading.add { $0.finishedCount += 1 } }
        do throws(PostgresError) {
            let parameters = configuration.source.connection
            let sql = try SQLConnection(parameters, timeout: answerTime, isReadOnly: true)
            let slot = try sql.slot(named: configuration.source.slot)
            let publication = try PublicationContents.read(configuration.source.publication, over: sql)
            let replication = try ReplicationConnection(parameters, timeout: answerTime)
            let system = try replication.identifySystem()
            let (host, version) = (sql.host, sql.serverVersion)
            reading.add { answers in
                answers.source = .success(())
                answers.servers.status.source.systemId = String(system.systemID)
                answers.servers.status.source.timeline = system.timeline
                answers.servers.status.source.database = system.database
                answers.servers.status.source.host = host
                answers.servers.status.source.serverVersion = version.postgresVersion
                answers.servers.status.add(slot)
                guard let publication else { return }
                answers.servers.status.source.take(publication)
                if publication.isEmptyByMistake(configuration.source) {
                    answers.servers.status.reasons.append(Finding.publicationEmpty(configuration.source.publication).note)
                }
            }
            let room = WALRoom(over: sql)
            // Since when it reaches back only the streamer knows.
            let anchor = try? sql.slot(named: ReplayWindow.anchor(of: configuration.source.slot), timeout: additionTime)
            reading.add { answers in
                answers.servers.status.window = anchor.map {
                    StreamerStatus.Window(slot: $0.name, fromLsn: $0.confirmedFlushLSN?.description, bytes: $0.retainedByteCount)
                }
                answers.servers.status.source.walLimitBytes = room.limitBytes
                answers.servers.status.source.diskFreeBytes = room.diskFreeBytes
                answers.servers.status.rates = room.rates
            }
        } catch {
            reading.add { $0.source = .failure(.postgres(error)) }
        }
    }

    static func readStream(_ reading: Reading) {
        let configuration = reading.configuration
        let name = configuration.stream.name
        defer { reading.add { $0.finishedCount += 1 } }
        do throws(StreamerError) {
            let link = try NATSLink.connected(
                configuration.nats, stream: name, isWanted: { Instant.now < reading.deadline })
            defer { link.connection.close() }
            let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try link.connection.streamInfo(name)
            }
            let (record, revision) = info == nil ? (nil, 0) : try ServerFacts.checkpointRecord(of: name, link.connection)
            let host = link.connection.connectedHost
            reading.add { answers in
                answers.stream = .success(())
                answers.servers.status.stream.host = host
                answers.servers.status.add(info, record)
            }
            guard let info else { return }
            let lastStop = LastStop.read(of: configuration, recordRevision: revision, over: link.connection, timeout: additionTime)
            let consumers = try? link.connection.consumers(name, timeout: additionTime).consumers
            let retention = StreamRetention(info, now: .now)
            let standings = consumers?.filter { $0.durableName != nil }.map { consumer in
                // With filters the next behind its floor may be none of its own: only the streamer asks for more.
                ConsumerStanding(
                    consumer, oldestUnread: consumer.takesAll(of: info.config.subjects) ? consumer.ackFloorSequence + 1 : nil, retention)
            }
            reading.add { answers in
                answers.servers.lastStop = lastStop
                answers.servers.status.consumers = standings.map {
                    StreamFacts.told($0, first: configuration.consumer?.name).map { StreamerStatus.Consumer($0) }
                }
            }
        } catch {
            reading.add { $0.stream = .failure(error) }
        }
    }
}

extension Int {
    /// libpq's number of a server's version: `15.18` for 150018.
    fileprivate var postgresVersion: String { "\(self / 10_000).\(self % 10_000)" }
}
