import Capture
package import History
import JetStreamPublishing
package import Logging
package import Threads
package import WAL

/// The way on behind one change that cannot be an event: a marker is stored in its place, and nothing else is left out.
///
/// In an order that can be repeated: the decision is put into the checkpoint record, which every streamer reads at its start, and then the slot is streamed until the
/// marker is stored. What dies between the two, any streamer completes.
package enum Skip {
    /// Which change is meant, as a stop's error names it.
    package struct Request: Sendable {
        /// Where its transaction commits; of a message outside transactions, its own.
        package var lsn: LSN
        /// Its place in its transaction; nil: the first that cannot be sent.
        package var change: UInt64?

        package init(lsn: LSN, change: UInt64?) {
            self.lsn = lsn
            self.change = change
        }

        fileprivate func means(_ position: Position) -> Bool {
            position.commitLSN == lsn && (change.map { $0 == position.ordinal } ?? true)
        }
    }

    /// What was passed over.
    package struct Outcome: Sendable, Equatable {
        /// The id of the event that the change would have been.
        package var id: String
        /// Where its transaction commits, and its place in that.
        package var lsn: LSN
        package var change: UInt64
        /// Why it cannot be sent, and which table's it is; nil: it was passed over before.
        package var what: String?
        package var acceptedBy: String
        /// Of the marker.
        package var subject: String
        package var markerID: String
        /// Of the marker; nil: a dry run, or the stream does not hold it any more.
        package var sequence: UInt64?
        /// At what a streamer would stop next, as far as it was met.
        package var next: String?
    }

    package enum Answer: Sendable, Equatable {
        case passedOver(Outcome)
        /// Nothing was done: no streamer stops at such a change.
        case refused(String)
    }

    /// For a walsender that has lost its client to let go of the slot.
    private static let slotWait = Duration.seconds(30)

    /// Finds the change that is in the way, puts the decision into the record, and streams until the marker is stored.
    /// - Parameter failpoints: For the fault tests.
    /// - Throws: `.slotActive` while a streamer runs; why a streamer would not begin, or stops before that change.
    package static func run(
        _ configuration: StreamerConfiguration, _ request: Request, acceptance: Acceptance, failpoints: Failpoints = .none,
        logger: Logger
    ) throws(StreamerError) -> Answer {
        let streamer = try Streamer(configuration, failpoints: failpoints, logger: logger)
        let search = try streamer.searchPoison(through: request.lsn)
        var record = search.joined.record
        let accepted = record.acceptedSkips.last { request.means($0.id.position) }
        if let accepted, !record.hasStored(accepted.id) || request.change != nil || search.poison.map({ !request.means($0.id.position) }) ?? true {
            guard !acceptance.isDryRun else { return .passedOver(outcome(accepted, configuration)) }
            return .passedOver(try complete(accepted, configuration, failpoints, logger))
        }
        guard let (id, error) = search.poison, request.means(id.position) else {
            return .refused(refusal(request, search, configuration))
        }
        if let accepted {
            return .refused(
                "change \(accepted.id.position.ordinal) at \(request.lsn) was passed over already, and change \(id.position.ordinal) of the same transaction cannot be sent either: \(error). To pass over that change too: \(FailurePolicy.skipCommand(at: id.position))"
            )
        }
        let skip = AcceptedSkip(
            id: id, random: .random(in: .min ... .max), acceptedBy: acceptance.acceptedBy,
            acceptedAt: PostgresTimestamp.now.description)
        guard record.add(skip) else {
            return .refused(
                "\(CheckpointRecord.skipLimit) changes that may be read again were passed over already: set events.on_poison = \"quarantine\" instead")
        }
        guard !acceptance.isDryRun else { return .passedOver(outcome(skip, configuration, what: "\(error)")) }
        try put(record, expecting: search.joined.revision, configuration)
        failpoints.reached(.afterSkipRecord)
        var done = try complete(skip, configuration, failpoints, logger)
        done.what = "\(error)"
        return .passedOver(done)
    }

    private static func put(
        _ record: CheckpointRecord, expecting revision: UInt64, _ configuration: StreamerConfiguration
    ) throws(StreamerError) {
        var record = record
        // Whoever streamed before is another writer from here on.
        record.owner = ""
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        _ = try Setup.put(record, expecting: revision, link.connection)
    }

    /// Streams until the marker is stored and recorded.
    private static func complete(
        _ skip: AcceptedSkip, _ configuration: StreamerConfiguration, _ failpoints: Failpoints, _ logger: Logger
    ) throws(StreamerError) -> Outcome {
        var done = outcome(skip, configuration)
        let position = skip.id.position
        // What is outside transactions has its record's end as its own.
        let goal = position.ordinal == 0 ? position.commitLSN : LSN(position.commitLSN.rawValue + 1)
        let deadline = Instant.now + slotWait
        while try !isStored(skip, &done, configuration) {
            let streamer = try Streamer(configuration, until: goal, failpoints: failpoints, logger: logger)
            do throws(StreamerError) {
                var former = FormerHolder()
                try streamer.runSession(streamer.slotWatch(), streamer.tableDescriber(), &former)
            } catch {
                if case .capture(.poison(_, let next, _)) = error, next > position { done.next = "\(error)" }
                // An atomic transaction is not sent before all of it can be.
                if try isStored(skip, &done, configuration) || (done.next != nil && configuration.delivery.isAtomic) { break }
                guard case .slotActive = error, Instant.now < deadline else { throw error }
                streamer.pause(.milliseconds(200))
            }
        }
        return done
    }

    /// Whether the record knows of the marker; then looks for its sequence.
    private static func isStored(
        _ skip: AcceptedSkip, _ done: inout Outcome, _ configuration: StreamerConfiguration
    ) throws(StreamerError) -> Bool {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        let (record, _) = try ServerFacts.checkpointRecord(of: configuration.stream.name, link.connection)
        guard let record else { throw .checkpointConflict("the checkpoint record disappeared") }
        guard record.hasStored(skip.id) else { return false }
        let marker = try StreamerError.ofJetStream { () throws(JetStreamError) in
            try link.connection.lastMessage(configuration.stream.name, subject: done.subject)
        }
        if let marker, marker.messageID == skip.markerID { done.sequence = marker.sequence }
        return true
    }

    private static func outcome(
        _ skip: AcceptedSkip, _ configuration: StreamerConfiguration, what: String? = nil
    ) -> Outcome {
        Outcome(
            id: "\(skip.id)", lsn: skip.id.position.commitLSN, change: skip.id.position.ordinal, what: what, acceptedBy: skip.acceptedBy,
            subject: "\(configuration.capture.subjectPrefix).\(ReservedEntity.name).\(ReservedEntity.skipOperation)",
            markerID: skip.markerID)
    }

    private static func refusal(
        _ request: Request, _ search: Streamer.Search, _ configuration: StreamerConfiguration
    ) -> String {
        if let poison = search.poison {
            return
                "no streamer stops at \(request.lsn)\(request.change.map { " change \($0)" } ?? ""): the first event that cannot be sent is \(poison.error). To pass over that event: \(FailurePolicy.skipCommand(at: poison.id.position))"
        }
        let facts = search.joined.facts
        guard facts.serverFlushLSN >= request.lsn else {
            return "\(request.lsn) is beyond the server's WAL, which ends at \(facts.serverFlushLSN): use the position that the streamer's stop names"
        }
        if let stored = search.joined.plan.known.storedID?.position, stored.commitLSN > request.lsn {
            return "nothing at \(request.lsn) is in a streamer's way: the stream holds everything up to \(stored)"
        }
        let policy =
            configuration.capture.poisonPolicy == .stop ? "" : ", because events.on_poison is not \"stop\" any more"
        return "nothing up to \(request.lsn) is in a streamer's way: every event can be sent\(policy). Start the streamer: slotstream run"
    }
}
