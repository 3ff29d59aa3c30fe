import Capture
import Logging
import PGOutput
import PostgresReplication
import WAL

/// What the catalogue is asked: about a relation when it is described, and about a value that only the database can write.
extension Session {
    func describe(_ relation: Relation, of transactionID: TransactionID) throws(StreamerError) {
        // Questions may take a while: statuses come before the next message.
        hasAsked = true
        var view = CatalogueView.whole
        do throws(PostgresError) {
            if isSQLLost { try reconnectSQL() }
            let isCertain = try CatalogueReader.describe(
                relation, of: transactionID, named: casts.named, patience: patience, for: &assembler, over: sql)
            provisional[relation.id] = isCertain ? nil : transactionID
            patience = isCertain ? Self.visibilityPatience : .zero
            if !columnRules.isEmpty { view = try CatalogueView.of(transactionID, over: sql) }
        } catch {
            isSQLLost = true
            throw .postgres(error)
        }
        for name in assembler.types.withheldCasts { casts.withheld(name) }
        logger.debug(
            "table described",
            metadata: [
                "table": "\(relation.qualifiedName)", "columns": .stringConvertible(relation.columns.count),
                "identity": "\(relation.replicaIdentity)", "transaction": "\(transactionID)",
            ])
        refusals[relation.id] = try columnRules.refusal(of: relation, in: view, sql: sql)
        if refusals[relation.id] != nil { assembler.refusedRelations.insert(relation.id) }
        try reviewPlans()
    }

    /// Describes again what is shown by now. A transaction that uses what another has made or changed began its work on it when that was shown: at its
    /// Begin it is.
    func describeProvisional() throws(StreamerError) {
        hasAsked = true
        for (id, transactionID) in provisional {
            do throws(PostgresError) {
                if isSQLLost { try reconnectSQL() }
                guard try CatalogueView.isShown(transactionID, over: sql) else { continue }
            } catch {
                isSQLLost = true
                throw .postgres(error)
            }
            provisional[id] = nil
            guard let relation = assembler.description(of: id) else { continue }
            try describe(relation, of: transactionID)
            assembler.describeAgain(relation)
        }
    }

    /// Lets go of what is kept of tables that were dropped.
    func reviewPlans() throws(StreamerError) {
        let relations = assembler.relationsDueForReview
        guard !relations.isEmpty else { return }
        do throws(PostgresError) {
            let gone = try CatalogueReader.gone(among: relations, over: sql)
            assembler.reviewed(gone: gone.relations, asOf: gone.asOf)
            for id in gone.relations { refusals[id] = nil }
        } catch {
            isSQLLost = true
            throw .postgres(error)
        }
    }

    /// Asks over the ordinary connection, which is made anew if it was lost; nil, with `catalogueError` set, if that fails.
    func ask<Answer>(
        _ question: (borrowing SQLConnection) throws(PostgresError) -> Answer
    ) -> Answer? {
        hasAsked = true
        do throws(PostgresError) {
            if isSQLLost { try reconnectSQL() }
            return try question(sql)
        } catch {
            isSQLLost = true
            catalogueError = error
            return nil
        }
    }
}

extension Session: CatalogueAuthority {
    func json(of text: String, castFrom typeOID: UInt32) -> CastAnswer {
        ask { (sql) throws(PostgresError) in
            try casts.json(of: text, castFrom: typeOID, over: sql)
        } ?? .unavailable
    }

    func refresh(
        _ types: inout TypeCatalogue, of transactionID: TransactionID, for relationID: RelationID, _ typeOIDs: [UInt32]
    ) -> Bool {
        var refreshed = types
        refreshed.forget(typeOIDs)
        let isCertain = ask { (sql) throws(PostgresError) in
            let view = try CatalogueView.of(transactionID, over: sql)
            return try CatalogueReader.refresh(&refreshed, for: typeOIDs, in: view, named: casts.named, over: sql)
        }
        types = refreshed
        if isCertain == false { provisional[relationID] = transactionID }
        return isCertain != nil
    }
}
