import Capture
import PostgresReplication
package import WAL

/// A stream that lost its end, of which PostgreSQL was told already: the live slot does not send it again, the anchor slot does.
extension Recovery {
    /// What is read instead of the live slot, and how far.
    package struct Repair: Equatable, Sendable {
        /// The anchor.
        package var slot: String
        /// Where the anchor stands.
        package var anchorLSN: LSN
        /// Where the live slot stands: from there on it sends the rest.
        package var endLSN: LSN

        package init(slot: String, anchorLSN: LSN, endLSN: LSN) {
            self.slot = slot
            self.anchorLSN = anchorLSN
            self.endLSN = endLSN
        }
    }

    /// How everything that commits at or after `lsn` can be read again, up to where the live slot stands; nil: no anchor reaches back so far.
    static func repair(from lsn: LSN, to confirmed: LSN, _ facts: Facts) -> Repair? {
        // What `mend` compares is what the live slot sends.
        guard let anchor = facts.anchor, !facts.isMending, !anchor.isInvalidated, anchor.plugin == "pgoutput", !anchor.twoPhase,
            anchor.database == facts.identity.databaseName, let position = anchor.confirmedFlushLSN, position.isValid, position <= lsn
        else { return nil }
        return Repair(slot: anchor.name, anchorLSN: position, endLSN: confirmed)
    }
}

extension Recovery.Outcome {
    /// What a woken old leader could feign: read again before it is believed; nil: it is believed at once.
    package var whatTimeConfirms: String? {
        switch self {
        case .refuse(_, let what, _, isConfirmedByTime: true): what
        case .proceed(let plan) where plan.repair != nil: "the stream ends before what was confirmed to PostgreSQL"
        case .proceed, .firstStart, .refuse: nil
        }
    }
}
