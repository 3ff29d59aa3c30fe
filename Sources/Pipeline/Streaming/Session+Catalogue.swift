import Capture
import History
import PGOutput
import WAL

/// What the catalogue is asked about a relation.
extension Session {
    func describe(_ relation: Relation, of transactionID: TransactionID) throws(StreamerError) {
        refusals[relation.id] = try server.describe(relation, of: transactionID, for: &assembler)
        if refusals[relation.id] != nil { assembler.refusedRelations.insert(relation.id) }
        try reviewPlans()
    }

    /// Describes again what is shown by now. A transaction that uses what another has made or changed began its work on it when that was shown: at its
    /// Begin it is.
    func describeProvisional() throws(StreamerError) {
        for (id, transactionID) in try server.shownByNow() {
            guard let relation = assembler.description(of: id) else { continue }
            try describe(relation, of: transactionID)
            assembler.describeAgain(relation)
        }
    }

    /// Lets go of what is kept of tables that were dropped.
    func reviewPlans() throws(StreamerError) {
        let relations = assembler.relationsDueForReview
        guard !relations.isEmpty else { return }
        let gone = try server.gone(among: relations)
        assembler.reviewed(gone: gone.relations, asOf: gone.asOf)
        for id in gone.relations { refusals[id] = nil }
    }
}
