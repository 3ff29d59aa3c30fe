package import Capture

/// What the messages of backfills prove by themselves, read in the order of the stream. Pure.
///
/// A run's numbers rise by one, over rows and markers alike; all ids rise, by position, run and number; and the marker behind a table's rows says how many there are, and what the
/// digest of their ids is. So a row that is lost, doubled or moved is found without the database.
package struct BackfillProof {
    /// A message of a backfill, as it is stored.
    package struct Message {
        package var sequence: UInt64
        package var subject: String
        package var id: MessageID
        /// As its header has it.
        package var idText: String

        package init(sequence: UInt64, subject: String, id: MessageID, idText: String) {
            self.sequence = sequence
            self.subject = subject
            self.id = id
            self.idText = idText
        }
    }

    /// What is not as it should be, and where that shows.
    package struct Fault: Equatable, Sendable {
        package var sequence: UInt64
        package var subject: String
        package var id: String
        package var position: Position
        package var expected: String
        package var found: String
    }

    /// A table's rows since its pass began.
    private struct Tally {
        var rows: UInt64 = 0
        var digest = BackfillDigest()
        /// Where the walk stands.
        var cursor: (UInt32, UInt16)?

        var text: String { "\(rows) rows, digest \(digest)" }

        mutating func take(_ id: String) {
            rows += 1
            var id = id
            id.makeContiguousUTF8()
            digest.take(id.utf8.span)
        }
    }

    private struct Run {
        let number: UInt64
        var last: BackfillPlace
        var lastSequence: UInt64
        /// By the OIDs of the tables.
        var tallies: [UInt32: Tally] = [:]
        /// The table whose rows did not begin where the reading began.
        var unknownTable: UInt32?
        /// Numbers that are missing behind a message of a table's, which is of no weight if that table begins anew.
        var held: [(table: UInt32, fault: Fault)] = []
    }

    /// Faults that wait for a table's end, of one run.
    private static let heldLimit = 100

    /// Whether all that was ever stored before the first message is known: nothing.
    private var isFromBeginning: Bool
    private var run: Run?
    private var newest: StreamOrder?
    private var newestEvent: Position?
    /// Rows that were read.
    package private(set) var rowCount: UInt64 = 0

    /// - Parameter isFromBeginning: Whether the first message that is read is the first one that was ever stored.
    package init(isFromBeginning: Bool) { self.isFromBeginning = isFromBeginning }

    /// Whether a message on that subject is a marker, and no row.
    package static func isMarker(_ subject: String) -> Bool {
        subject.hasSuffix(".\(ReservedEntity.name).\(ReservedEntity.backfillOperation)")
    }

    /// Where the message stands behind which numbers are missing, if this one comes next; nil: none is.
    package func sequence(beforeNumbersMissingBefore id: MessageID) -> UInt64? {
        guard let run, let place = id.backfillPlace, place.run == run.number, place.count > run.last.count + 1 else { return nil }
        return run.lastSequence
    }

    /// Takes an event of the live stream.
    /// - Returns: What is wrong, if it stands behind a message of a backfill that it should stand before; events among each other are not looked at.
    package mutating func event(_ id: MessageID, sequence: UInt64, subject: String) -> Fault? {
        let position = id.position
        defer { newestEvent = max(newestEvent ?? position, position) }
        guard newestEvent.map({ position > $0 }) ?? true else { return nil }
        let order = StreamOrder(position)
        guard let newest, newest > order else {
            newest = order
            return nil
        }
        return Fault(
            sequence: sequence, subject: subject, id: "\(id)", position: position, expected: "an id behind \(newest.text)", found: order.text)
    }

    /// Takes a message of a backfill.
    /// - Parameter body: Read of markers only.
    package mutating func take(_ message: Message, body: () -> [UInt8]) -> [Fault] {
        guard let place = message.id.backfillPlace else { return [] }
        let isMarker = Self.isMarker(message.subject)
        if !isMarker { rowCount += 1 }
        var faults: [Fault] = []
        let order = message.id.order
        if let newest, order <= newest {
            faults.append(fault(message, expected: "an id behind \(newest.text)", found: order.text))
        } else {
            newest = order
        }
        guard takeNumber(place, message, &faults) else { return faults }
        if isMarker {
            takeMarker(message, place, BackfillMarker(json: body()), &faults)
        } else {
            var tally = run?.tallies[place.tableOID] ?? Tally()
            // A row that is read again leaves the walk where it is; nothing takes it back.
            if let cursor = tally.cursor, (place.block, place.offset) < cursor {
                faults.append(fault(message, expected: "a row behind (\(cursor.0),\(cursor.1))", found: "(\(place.block),\(place.offset))"))
            } else {
                tally.cursor = (place.block, place.offset)
            }
            tally.take(message.idText)
            run?.tallies[place.tableOID] = tally
        }
        return faults
    }

    /// What was read last is not followed by what comes next: the stream's limits removed messages meanwhile.
    /// - Returns: What could be told of before.
    package mutating func forget() -> [Fault] {
        defer {
            run = nil
            isFromBeginning = false
        }
        return finish()
    }

    /// Nothing comes any more.
    package mutating func finish() -> [Fault] {
        defer { run?.held = [] }
        return run?.held.map(\.fault) ?? []
    }

    // MARK: - Numbers

    /// - Returns: false: it is one that was taken before, and counts for nothing.
    private mutating func takeNumber(_ place: BackfillPlace, _ message: Message, _ faults: inout [Fault]) -> Bool {
        guard var run, run.number == place.run else { return begin(place, message, &faults) }
        guard place.count > run.last.count else {
            // Its place in the stream tells of it already.
            if faults.isEmpty {
                faults.append(fault(message, expected: "a number of run \(run.number) behind \(run.last.count)", found: "\(place.count)"))
            }
            return false
        }
        if place.count != run.last.count + 1, run.held.count < Self.heldLimit {
            let found = fault(message, expected: "number \(run.last.count + 1) of run \(run.number)", found: "\(place.count)")
            run.held.append((run.last.tableOID, found))
        }
        run.last = place
        run.lastSequence = message.sequence
        self.run = run
        return true
    }

    /// Another run begins, as far as it is there.
    private mutating func begin(_ place: BackfillPlace, _ message: Message, _ faults: inout [Fault]) -> Bool {
        if let run, place.run < run.number {
            if faults.isEmpty { faults.append(fault(message, expected: "run \(run.number), or a later one", found: "run \(place.run)")) }
            return false
        }
        // Runs do not overlap: behind another one, it begins here.
        let isKnown = isFromBeginning || run != nil
        faults += finish()
        if isKnown, place.count != 1 {
            faults.append(fault(message, expected: "number 1 of run \(place.run)", found: "\(place.count)"))
        }
        run = Run(number: place.run, last: place, lastSequence: message.sequence, unknownTable: place.count == 1 ? nil : place.tableOID)
        return true
    }

    // MARK: - Markers

    private mutating func takeMarker(_ message: Message, _ place: BackfillPlace, _ marker: BackfillMarker?, _ faults: inout [Fault]) {
        guard let marker = marker?.backfill, marker.id == String(place.run) else {
            faults.append(fault(message, expected: "a marker of run \(place.run)", found: "another body"))
            return
        }
        let table = marker.oid ?? place.tableOID
        switch marker.event {
        case .begin:
            // Once more: the stream had lost its end, and all tables are read again.
            run?.held = []
            run?.tallies = [:]
            run?.unknownTable = nil
        case .whole, .restart:
            if marker.event == .restart { run?.held.removeAll { $0.table == table } }
            run?.tallies[table] = nil
            if run?.unknownTable == table { run?.unknownTable = nil }
        case .table:
            faults += finish()
            let tally = run?.tallies.removeValue(forKey: table) ?? Tally()
            if run?.unknownTable == table {
                run?.unknownTable = nil
            } else if marker.rows != tally.rows || marker.digest != "\(tally.digest)" {
                let told = "\(marker.rows.map { "\($0)" } ?? "?") rows, digest \(marker.digest ?? "?")"
                faults.append(fault(message, expected: "\(told), of \(marker.table ?? "?")", found: tally.text))
            }
        case .end, .cancelled: faults += finish()
        }
    }

    private func fault(_ message: Message, expected: String, found: String) -> Fault {
        Fault(
            sequence: message.sequence, subject: message.subject, id: message.idText, position: message.id.position, expected: expected,
            found: found)
    }
}

extension StreamOrder {
    fileprivate var text: String { isOfBackfill ? "\(position), number \(count) of run \(run)" : "\(position)" }
}
