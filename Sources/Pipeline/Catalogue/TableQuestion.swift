package import Capture
package import History
package import WAL

/// What the catalogue is asked on the way to a message, which cannot be taken without the answer.
package enum TableQuestion: Equatable, Sendable {
    /// What the assembler asks, of what the transaction may have changed.
    case capture(CatalogueQuestion, of: TransactionID)
    /// Which of these transactions are shown to others by now.
    case shown([TransactionID])
    /// Which of these relations are dropped.
    case gone([RelationID])
}

/// What was found.
package enum TableAnswer: Sendable {
    /// - Parameters:
    ///   - isCertain: False: what may be wrong is left out or goes as text, and the relation is to be described again when the transaction is shown.
    ///   - refusal: Why no row of the relation may be written, if none may.
    case capture(CatalogueAnswer, isCertain: Bool, refusal: StreamerError?)
    case shown(Set<TransactionID>)
    /// `asOf`: where the WAL ended after that was found.
    case gone(Set<RelationID>, asOf: LSN)
}

/// Whom a `ChangeReader` asks about tables: the database, or a model of one.
package protocol CataloguePort: AnyObject {
    /// What was found; nil: it is not known yet, and whoever waits on the slot's port is woken when it is. Then the same is asked again.
    func answer(to question: TableQuestion) throws(StreamerError) -> TableAnswer?
}
