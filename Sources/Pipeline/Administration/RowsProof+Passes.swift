import Capture
import Glibc
import History
import JetStreamPublishing
import PostgresReplication
import Threads
import WAL

extension RowsProof {
    /// Until a slot is looked at again.
    static func pause() { usleep(100_000) }

    /// One comparison, pass by pass.
    struct Proof {
        private let configuration: StreamerConfiguration
        private let table: ProvenTable
        private let shape: RowFold.Shape
        private let snapshot: TransactionSnapshot
        private let options: Options
        private let stored: StoredPast
        private let mayBeLate: Bool
        /// Transactions with later ids began when the stream had begun; nil: nobody knows.
        private var lastOfBeginning: UInt64?
        private var beginning: PostgresTimestamp?
        private(set) var report: Report

        /// Looks where the stream ends now.
        init(
            _ configuration: StreamerConfiguration, _ table: ProvenTable, _ snapshot: TransactionSnapshot, _ text: String,
            _ options: Options, _ connection: JetStreamConnection
        ) throws(StreamerError) {
            self.configuration = configuration
            self.table = table
            self.snapshot = snapshot
            self.options = options
            stored = try StoredPast(configuration, over: connection)
            shape = table.shape
            let hole = "\(configuration.capture.subjectPrefix).\(ReservedEntity.name).\(HoleMarker.token)"
            mayBeLate = try StreamerError.ofJetStream { () throws(JetStreamError) in
                try connection.lastMessage(configuration.stream.name, subject: hole) != nil
            }
            report = Report(
                table: table.name, snapshot: text, throughLSN: snapshot.lsn, firstSequence: stored.firstSequence,
                throughSequence: stored.lastSequence, hiddenColumns: table.hidden)
        }

        /// Reads stream and table for a part of the keys.
        /// - Returns: The parts that are left, because this one was too large.
        mutating func pass(_ part: RowFold.Part, _ sql: borrowing SQLConnection) throws(StreamerError) -> [RowFold.Part] {
            report.passes += 1
            var fold = RowFold(shape, part: part, byteLimit: options.memoryByteLimit, mayBeLate: mayBeLate)
            try read(into: &fold)
            try table.forEachRow(over: sql) { (row) throws(StreamerError) in compare(row, &fold) }
            for row in fold.unseen {
                report.found(
                    Difference(kind: .foreign, key: Self.text(row.key), sequence: row.sequence, lsn: row.position.commitLSN))
            }
            return fold.left
        }

        // MARK: - The stream's side

        private mutating func read(into fold: inout RowFold) throws(StreamerError) {
            guard stored.firstSequence <= stored.lastSequence else { return }
            var cursor = try StreamCursor(stored, stored.firstSequence...stored.lastSequence)
            while let message = try cursor.peek() {
                cursor.advance()
                try take(message, &fold)
            }
            report.deletedSequences = cursor.deletedCount
        }

        private mutating func take(_ message: StreamCursor.Message, _ fold: inout RowFold) throws(StreamerError) {
            let isFirstPass = report.passes == 1
            guard let id = message.id, id.streamPosition != nil else { return }
            let isReserved = message.subject.hasPrefix("\(configuration.capture.subjectPrefix).\(ReservedEntity.name)")
            if isReserved, id.backfillPlace != nil { return take(marker: message.payload, at: id.order, &fold) }
            if isFirstPass, id.kind == .marker, message.subject.hasSuffix("._slotstream.GAP") { report.gaps += 1 }
            let event = EventFormat.readRow(message.payload)
            if isFirstPass { learnBeginning(id, event) }
            guard let event, event.table == table.table, event.schema == table.schema else { return }
            do throws(RowFold.UnknownKey) {
                try take(event, isReserved: isReserved, sequence: message.sequence, &fold)
            } catch {
                throw .stop(
                    .configuration,
                    what: "sequence \(error.sequence) of stream \(configuration.stream.name) does not tell which row of \(table.name) changed: the table's replica identity, or the columns that are published, were others at \(error.position)",
                    remedy: "Compare another table. The rows of this table are known again when each key was written once more, in a new stream")
            }
        }

        /// - Parameter isReserved: In the place of an event stands what tells only of which table it is.
        private mutating func take(
            _ event: ReadRow, isReserved: Bool, sequence: UInt64, _ fold: inout RowFold
        ) throws(RowFold.UnknownKey) {
            let isFirstPass = report.passes == 1
            let isWithheld = isReserved || event.row == nil && event.operation != "TRUNCATE"
            if isFirstPass, isWithheld { report.withheld += 1 }
            if let backfill = event.backfill {
                guard !isWithheld else { return }
                let isFolded = try fold.takeRow(event, sequence: sequence, isLater: WALPage.written(backfill.lsn) > snapshot.lsn)
                if isFirstPass { if isFolded { report.read += 1 } else { report.leftOut += 1 } }
                return
            }
            guard let transactionID = event.transactionID, snapshot.shows(transactionID, committedAt: event.position.commitLSN) else {
                if isFirstPass, !isWithheld { report.leftOut += 1 }
                return fold.leaveOut(event)
            }
            guard !isWithheld else { return }
            if isFirstPass { report.events += 1 }
            try fold.take(event, sequence: sequence)
        }

        /// Of a backfill's markers one is of use: that all of the table's rows follow.
        private func take(marker payload: [UInt8], at order: StreamOrder, _ fold: inout RowFold) {
            guard let marker = BackfillMarker(json: payload)?.backfill, marker.event == .whole, marker.table == table.name else { return }
            // Of a partition, the rows of the others are not in it.
            if marker.partition == nil { fold.allFollow(at: order) }
        }

        /// A row whose last transaction began after these were over is in the stream, if it was ever published.
        private mutating func learnBeginning(_ id: MessageID, _ event: ReadRow?) {
            guard id.transactionID != .none, id.backfillPlace == nil, let timestamp = event?.commitTimestamp else { return }
            let first = beginning ?? timestamp
            beginning = first
            guard timestamp.unixMicroseconds - first.unixMicroseconds <= beginningMicroseconds else { return }
            lastOfBeginning = max(lastOfBeginning ?? 0, snapshot.full(id.transactionID))
        }

        // MARK: - The table's side

        private mutating func compare(_ row: ProvenTable.Row, _ fold: inout RowFold) {
            guard let key = shape.key(of: row.columns) else { preconditionFailure("a key's columns are published") }
            switch fold.compare(key, shape.digests(of: row.columns)) {
            case .elsewhere: break
            case .equal: report.compared += 1
            case .equalAsFarAsKnown:
                report.compared += 1
                report.partial += 1
            case .altered(let indices, let sequence, let position):
                report.compared += 1
                report.found(
                    Difference(
                        kind: .altered, key: Self.text(key), columns: indices.map { table.columns[$0] }, sequence: sequence,
                        lsn: position.commitLSN))
            case .later: report.later += 1
            case .absent:
                if options.isStrict || fold.wasTruncated || isYounger(row.xmin) {
                    report.found(Difference(kind: .missing, key: Self.text(key)))
                } else {
                    report.older += 1
                }
            }
        }

        /// Whether the row's last change began when the stream had begun.
        private func isYounger(_ xmin: TransactionID) -> Bool {
            guard let lastOfBeginning else { return false }
            let id = snapshot.full(xmin)
            // An id beyond the snapshot's is one of before the last wraparound; the first three are of no transaction.
            return xmin.rawValue > 2 && id > lastOfBeginning && id < snapshot.xmax
        }

        private static func text(_ key: [UInt8]) -> String { String(decoding: key, as: UTF8.self) }
    }
}
