import History
import JetStreamPublishing
import PostgresReplication

/// What one run of setup has made so far, so that a failure leaves nothing behind that nobody knows of.
package struct SetupUndoing {
    /// What became of what had been made; a thing each.
    package struct Report: Sendable, Equatable {
        package var undone: [String] = []
        /// What is still there, with the command that removes it.
        package var left: [String] = []
        /// Whether setup goes on with what is left when it is run again.
        package var goesOn = false
    }

    /// How the publication was changed.
    private var publicationStatements: [String] = []
    /// When the stream was made; nil: it was there.
    var streamCreated: String?
    var hasBucket = false
    var slot: String?
    /// Of the record that was put, with which it can be taken back.
    var revision: UInt64?

    init() {}

    mutating func publication(by statement: String) { publicationStatements.append(statement) }

    /// The statement that takes back one of `PublicationSetup`'s; nil: nothing does.
    static func inverse(of statement: String, publication: String) -> String? {
        let name = quoteIdentifier(publication)
        if statement.hasPrefix("CREATE PUBLICATION \(name)") { return "DROP PUBLICATION \(name)" }
        let addition = "ALTER PUBLICATION \(name) ADD TABLE "
        return statement.hasPrefix(addition)
            ? "ALTER PUBLICATION \(name) DROP TABLE \(statement.dropFirst(addition.count))" : nil
    }

    // MARK: - Undoing

    /// Takes back what was made, the last first, when setup cannot go on with it; else leaves it for the next run.
    /// - Returns: nil: nothing was made.
    consuming func undo(
        after error: StreamerError, _ configuration: StreamerConfiguration, sql: borrowing SQLConnection,
        nats: JetStreamConnection
    ) -> Report? {
        var report = Report()
        guard case .stop = FailurePolicy.verdict(on: error) else {
            report.goesOn = true
            leave(configuration, &report)
            return report.left.isEmpty ? nil : report
        }
        if let revision {
            guard (try? takeBack(configuration.stream.name, revision, nats)) != nil else {
                // Somebody else's already: it belongs together with the slot and the stream.
                report.goesOn = true
                leave(configuration, &report)
                return report
            }
            report.undone.append("the checkpoint record of stream \(configuration.stream.name)")
            self.revision = nil
        }
        if let slot, (try? sql.dropSlot(slot)) != nil {
            report.undone.append("slot \(slot)")
            self.slot = nil
        }
        if let created = streamCreated, (try? removeStream(configuration.stream.name, created, nats)) == true {
            report.undone.append("stream \(configuration.stream.name)")
            streamCreated = nil
        }
        undoPublication(configuration.source.publication, sql: sql, &report)
        leave(configuration, &report)
        return report.undone.isEmpty && report.left.isEmpty ? nil : report
    }

    private mutating func undoPublication(_ publication: String, sql: borrowing SQLConnection, _ report: inout Report) {
        while let statement = publicationStatements.last,
            let inverse = Self.inverse(of: statement, publication: publication)
        {
            do throws(PostgresError) {
                // The transaction that failed may be under way.
                try sql.execute("ROLLBACK")
                try sql.execute("BEGIN READ WRITE; \(inverse); COMMIT")
            } catch {
                return
            }
            report.undone.append(statement)
            publicationStatements.removeLast()
        }
    }

    /// As a key-value client deletes a key, unless it was put again meanwhile.
    private func takeBack(_ key: String, _ revision: UInt64, _ nats: JetStreamConnection) throws(JetStreamError) {
        try nats.bucketDelete(CheckpointRecord.bucket, key: key, expectedRevision: revision)
    }

    /// Only the stream that was made, and only while nobody has stored anything in it.
    private func removeStream(_ name: String, _ created: String, _ nats: JetStreamConnection) throws(JetStreamError) -> Bool {
        guard let tail = try StreamTail.read(name, over: nats), tail.created == created, tail.message == .never else {
            return false
        }
        try nats.deleteStream(name)
        return true
    }

    // MARK: - What is left

    private func leave(_ configuration: StreamerConfiguration, _ report: inout Report) {
        if let slot {
            report.left.append("slot \(slot): `slotstream slot drop \(slot)` drops the slot")
        }
        if let stream = streamCreated.map({ _ in configuration.stream.name }) {
            report.left.append("stream \(stream): `nats stream rm \(stream)` deletes the stream")
        }
        if hasBucket {
            report.left.append(
                "key-value bucket \(CheckpointRecord.bucket), which the setup of other streams uses too: `nats kv del \(CheckpointRecord.bucket)` deletes the bucket")
        }
        if revision != nil {
            report.left.append(
                "the checkpoint record: `nats kv del \(CheckpointRecord.bucket) \(configuration.stream.name)` deletes the record")
        }
        for statement in publicationStatements.reversed() {
            let inverse = Self.inverse(of: statement, publication: configuration.source.publication)
            report.left.append("\(statement)\(inverse.map { ": \($0); takes it back" } ?? "")")
        }
    }
}
