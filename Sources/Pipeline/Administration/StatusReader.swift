package import History
import JetStreamPublishing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// What both servers say of slot and stream, whether a streamer runs or not.
package enum StatusReader {
    /// How long both servers have for all their answers: whoever asks how things stand does not wait for a server that says nothing.
    static let answerTime = Duration.milliseconds(3500)
    /// What is said where nobody streams.
    static let noHolder = "no streamer holds the slot"

    /// What has been answered so far.
    private struct Answers: Sendable {
        var status: StreamerStatus
        var source: Result<Void, StreamerError>?
        var stream: Result<Void, StreamerError>?
        /// Why a streamer would stop at its start was looked for.
        var isJudged = false
        /// Nobody waits any more.
        var isOver = false

        var isComplete: Bool {
            guard let source, let stream else { return false }
            guard case .success = source, case .success = stream, status.role != .active else { return true }
            return isJudged
        }
    }

    /// One reading: filled by threads that may outlive it, where a server keeps them waiting.
    private final class Reading: Sendable {
        let configuration: StreamerConfiguration
        let deadline: Instant
        let answers: Mutex<Answers>
        let wake: WakeSignal

        init(_ configuration: StreamerConfiguration) throws(StreamerError) {
            self.configuration = configuration
            deadline = .now + StatusReader.answerTime
            answers = Mutex(Answers(status: StatusReader.unknown(configuration)))
            wake = try StreamerError.ofSystem { () throws(SystemError) in try WakeSignal() }
        }

        /// Adds what came, and looks further once both have answered.
        func add(_ change: (inout Answers) -> Void) {
            let isJudging = answers.withLock { answers in
                guard !answers.isOver else { return false }
                change(&answers)
                return answers.source != nil && answers.stream != nil && !answers.isComplete
            }
            if isJudging { judge(self) }
            wake.signal()
        }
    }

    /// Asks both servers once, at the same time. One that does not answer is a reason in the status, and `failure`; what the other says is there all the same. Takes four seconds at most.
    package static func read(_ configuration: StreamerConfiguration) -> (status: StreamerStatus, failure: StreamerError?) {
        let reading: Reading
        do throws(StreamerError) {
            reading = try Reading(configuration)
            try StreamerError.ofSystem { () throws(SystemError) in
                try OwnedThread(name: "status of PostgreSQL") { readSource(reading) }.detach()
                try OwnedThread(name: "status of NATS") { readStream(reading) }.detach()
            }
        } catch {
            var status = unknown(configuration)
            status.reasons.append("\(error)")
            return (status, error)
        }
        while !reading.answers.withLock({ $0.isComplete }), Instant.now < reading.deadline {
            reading.wake.wait(timeout: reading.deadline.duration(since: .now))
        }
        let answers = reading.answers.withLock { answers in
            answers.isOver = true
            return answers
        }
        var status = answers.status
        let failures = [
            failure(answers.source, else: .postgres(.timedOut(command: "its state"))),
            failure(answers.stream, else: .jetStream(.timedOut(operation: "the stream's state"))),
        ].compactMap { $0 }
        status.reasons += failures.map { "\($0)" }
        return (status, failures.first)
    }

    private static func failure(_ result: Result<Void, StreamerError>?, else late: StreamerError) -> StreamerError? {
        switch result {
        case .success?: nil
        case .failure(let error)?: error
        case nil: late
        }
    }

    private static func unknown(_ configuration: StreamerConfiguration) -> StreamerStatus {
        StreamerStatus(
            role: .stopped, live: false, ready: false, reasons: [],
            source: StreamerStatus.Source(slot: configuration.source.slot),
            stream: StreamerStatus.Stream(name: configuration.stream.name))
    }

    /// Adds why a streamer would stop at its start, if it would: what ended the last one can be read here after its log is gone.
    private static func judge(_ reading: Reading) {
        let configuration = reading.configuration
        var found: (reason: StopReason, what: String, remedy: String)?
        var trouble: StreamerError?
        do throws(StreamerError) {
            let servers = try ServerConnections(configuration)
            let (facts, _) = try ServerFacts.gather(
                configuration, replication: servers.replication, sql: servers.sql, nats: servers.nats)
            if case .refuse(let reason, let what, let remedy, _) = Recovery.assess(facts) { found = (reason, what, remedy) }
        } catch {
            // Both have answered: no failure to read them.
            trouble = error
        }
        let at = PostgresTimestamp.now.description
        reading.add { answers in
            answers.isJudged = true
            if let trouble { answers.status.reasons.append("\(trouble)") }
            guard let found else { return }
            answers.status.reasons.append("a streamer would stop here: \(found.what). \(found.remedy)")
            answers.status.lastError = StreamerStatus.LastError(reason: found.reason.rawValue, at: at, message: found.what)
        }
    }

    private static func readSource(_ reading: Reading) {
        let configuration = reading.configuration
        do throws(PostgresError) {
            let parameters = configuration.source.connection
            let sql = try SQLConnection(parameters, timeout: answerTime, isReadOnly: true)
            let slot = try sql.slot(named: configuration.source.slot)
            let publication = try PublicationContents.read(configuration.source.publication, over: sql)
            let replication = try ReplicationConnection(parameters, timeout: answerTime)
            let system = try replication.identifySystem()
            reading.add { answers in
                answers.source = .success(())
                answers.status.source.systemId = String(system.systemID)
                answers.status.source.timeline = system.timeline
                answers.status.source.database = system.database
                answers.status.add(slot)
                guard let publication else { return }
                answers.status.source.take(publication)
                if publication.isEmptyByMistake(configuration.source) {
                    answers.status.reasons.append(Finding.publicationEmpty(configuration.source.publication).note)
                }
            }
        } catch {
            reading.add { $0.source = .failure(.postgres(error)) }
        }
    }

    private static func readStream(_ reading: Reading) {
        let configuration = reading.configuration
        let name = configuration.stream.name
        do throws(StreamerError) {
            let link = try NATSLink.connected(
                configuration.nats, stream: name, isWanted: { Instant.now < reading.deadline })
            defer { link.connection.close() }
            let info = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try link.connection.streamInfo(name)
            }
            let record = info == nil ? nil : try ServerFacts.checkpointRecord(of: name, link.connection).0
            reading.add { answers in
                answers.stream = .success(())
                answers.status.add(info, record)
            }
        } catch {
            reading.add { $0.stream = .failure(error) }
        }
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
    /// What PostgreSQL says of the slot; nil: there is none.
    fileprivate mutating func add(_ slot: SlotState?) {
        guard let slot else { return reasons.append("slot \(source.slot) does not exist") }
        if slot.isActive { role = .active } else { reasons.append(StatusReader.noHolder) }
        source.plugin = slot.plugin
        source.walStatus = slot.walStatus
        source.confirmedLsn = slot.confirmedFlushLSN?.description
        source.lagBytes = slot.confirmedFlushLSN.map { slot.currentWALLSN.byteCount(since: $0) }
        source.retainedBytes = slot.retainedByteCount
        source.safeBytes = slot.safeWALByteCount
    }

    /// What JetStream says of the stream; nil: there is none.
    fileprivate mutating func add(_ info: StreamInfo?, _ record: CheckpointRecord?) {
        guard let info else { return reasons.append("stream \(stream.name) does not exist") }
        stream.take(StreamFacts(info, at: .now))
        guard let record else { return reasons.append("there is no checkpoint record for stream \(stream.name)") }
        source.storedLsn = record.confirmedLsn
    }

    /// What the servers say, with what the running streamer says of itself.
    package func adding(_ running: StreamerStatus) -> StreamerStatus {
        var whole = running
        whole.source.confirmedLsn = source.confirmedLsn ?? running.source.confirmedLsn
        whole.source.walStatus = source.walStatus ?? running.source.walStatus
        whole.source.retainedBytes = source.retainedBytes ?? running.source.retainedBytes
        whole.source.safeBytes = source.safeBytes ?? running.source.safeBytes
        whole.source.publishedTables = source.publishedTables ?? running.source.publishedTables
        whole.source.tablesWithoutIdentity = source.tablesWithoutIdentity ?? running.source.tablesWithoutIdentity
        whole.stream = stream
        // One that runs and has no slot says itself why.
        whole.reasons += reasons.filter { $0 != StatusReader.noHolder && !running.reasons.contains($0) }
        return whole
    }

    /// Whether there is nothing to do: a streamer has the slot or stands by, and neither it nor a server tells of anything.
    package var isHealthy: Bool {
        role != .stopped && reasons.isEmpty && source.walStatus.map { !["unreserved", "lost"].contains($0) } ?? true
    }
}
