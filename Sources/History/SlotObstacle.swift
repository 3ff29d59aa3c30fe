package import PostgresReplication
import WAL

/// Something that a slot holds and the server cannot send, and where it lies as far as what was sent before tells.
package struct SlotObstacle: Equatable {
    package enum Kind: Equatable {
        /// When it was written there was no publication of this name.
        case publicationMissing
        /// A value, or the transaction, that the server can read back and not send.
        case undecodable(sqlState: String, message: String)
    }

    package var kind: Kind
    package var progress: SlotProgress

    /// What an error that ended a stream of changes may mean; nil: it passes, or is another one's to explain.
    ///
    /// - Parameter isPublicationSure: Whether the publication was there all the while, by the catalogue.
    package init?(_ error: PostgresError, _ progress: SlotProgress, isPublicationSure: Bool) {
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

    package init(_ kind: Kind, _ progress: SlotProgress) {
        self.kind = kind
        self.progress = progress
    }

    /// Whether it comes again however often it is tried. What PostgreSQL calls internal, or not supported, may pass.
    package var isCertain: Bool {
        switch kind {
        case .publicationMissing: true
        case .undecodable(let sqlState, _): !sqlState.hasPrefix("XX") && !sqlState.hasPrefix("0A")
        }
    }

    package var reason: StopReason {
        switch kind {
        case .publicationMissing: .publicationLost
        case .undecodable: .poisonEvent
        }
    }

    /// What happened, and where.
    package func what(slot: String, publication: String) -> String {
        let what =
            switch kind {
            case .publicationMissing:
                "publication \(publication) was dropped, renamed or made again: PostgreSQL does not find this publication at the position of slot \(slot), and cannot send the changes from that time"
            case .undecodable(let sqlState, let message):
                "PostgreSQL cannot send a change that slot \(slot) holds (\(sqlState): \(message))"
            }
        return "\(what). \(place)"
    }

    private var place: String {
        let sent = "Everything that commits before \(progress.endLSN) was sent"
        guard let transaction = progress.transaction else { return "\(sent); the next transaction fails" }
        let table = progress.describedTable.map { ", a row of \($0)" } ?? ""
        return
            "\(sent); transaction \(transaction.id), which commits at \(transaction.commitLSN), fails at change \(progress.changeCount + 1)\(table)"
    }

    package var remedy: String {
        let first =
            switch kind {
            case .publicationMissing:
                "If the publication is missing, create the publication again with its former tables. A new publication does not reach back"
            case .undecodable("22P05", _), .undecodable("22021", _):
                "Correct the row in the table: the row holds bytes that are not UTF-8, or a character that UTF-8 does not have"
            case .undecodable:
                "Change the value in the table: the value is too large, or its type can no longer print the value"
            }
        return Steps.text(
            "Nothing was skipped. The earlier changes are stored", [first] + LostHistory.acceptGap)
    }

    package func stop(slot: String, publication: String) -> StreamerError {
        .stop(reason, what: what(slot: slot, publication: publication), remedy: remedy)
    }
}
