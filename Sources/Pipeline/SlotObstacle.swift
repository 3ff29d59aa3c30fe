import PostgresReplication
import WAL

/// Something that a slot holds and the server cannot send, and where it lies as far as what was sent before tells.
struct SlotObstacle: Equatable {
    enum Kind: Equatable {
        /// When it was written there was no publication of this name.
        case publicationMissing
        /// A value, or the transaction, that the server can read back and not send.
        case undecodable(sqlState: String, message: String)
    }

    var kind: Kind
    var progress: SlotProgress

    /// What an error that ended a stream of changes may mean; nil: it passes, or is another one's to explain.
    ///
    /// - Parameter isPublicationSure: Whether the publication was there all the while, by the catalogue.
    init?(_ error: PostgresError, _ progress: SlotProgress, isPublicationSure: Bool) {
        // FATAL as well: a session may be set to end at its first error.
        guard case .server(let sqlState, _, let message, _, _, _) = error else { return nil }
        // 08 connection, 25 and 40 transaction state, 53 resources, 55 slot, 57 operator, 58 system; a right that is missing can be granted.
        guard !["08", "25", "40", "53", "55", "57", "58"].contains(String(sqlState.prefix(2))), !error.isPermission
        else { return nil }
        kind =
            error.isUndefinedObject && !isPublicationSure
            ? .publicationMissing : .undecodable(sqlState: sqlState, message: message)
        self.progress = progress
    }

    init(_ kind: Kind, _ progress: SlotProgress) {
        self.kind = kind
        self.progress = progress
    }

    /// Whether it comes again however often it is tried. What PostgreSQL calls internal, or not supported, may pass.
    var isCertain: Bool {
        switch kind {
        case .publicationMissing: true
        case .undecodable(let sqlState, _): !sqlState.hasPrefix("XX") && !sqlState.hasPrefix("0A")
        }
    }

    var reason: StopReason {
        switch kind {
        case .publicationMissing: .publicationLost
        case .undecodable: .poisonEvent
        }
    }

    /// What happened, and where.
    func what(_ source: StreamerConfiguration.Source) -> String {
        let what =
            switch kind {
            case .publicationMissing:
                "publication \(source.publication) was dropped, renamed or made again: PostgreSQL does not find it where slot \(source.slot) stands, and cannot send what was committed without it"
            case .undecodable(let sqlState, let message):
                "PostgreSQL cannot send what slot \(source.slot) holds (\(sqlState): \(message))"
            }
        return "\(what). \(place)"
    }

    private var place: String {
        let sent = "Everything that commits before \(progress.endLSN) was sent"
        guard let transaction = progress.transaction else { return "\(sent); it fails in what commits behind it" }
        let table = progress.describedTable.map { ", a row of \($0)" } ?? ""
        return
            "\(sent); it fails in transaction \(transaction.id), which commits at \(transaction.commitLSN), at its change \(progress.changeCount + 1)\(table)"
    }

    var remedy: String {
        let particular =
            switch kind {
            case .publicationMissing:
                "Make it again with its former tables if it is not there (a publication that is made now does not reach back)"
            case .undecodable("22P05", _), .undecodable("22021", _):
                "The database holds bytes that are no UTF-8, or have no character in it: correct them in the table, so that it does not come again"
            case .undecodable:
                "A value that is too large to be sent, or that its type cannot write any more, has to be changed in the table, so that it does not come again"
            }
        return
            "\(particular). Nothing was passed over, and what was committed before is stored. `slotstream slot advance` says what is lost; `slotstream slot advance --accept-gap` goes on behind it and stores a marker that consumers read"
    }

    func stop(_ source: StreamerConfiguration.Source) -> StreamerError {
        .stop(reason, what: what(source), remedy: remedy)
    }
}
