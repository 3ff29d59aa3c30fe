public import WAL

/// Why a change could not become an event. Never carries row data.
public enum CaptureError: Error, Sendable, Equatable {
    /// A message came where the protocol does not allow it: a row outside a transaction, a row of a relation that was never described.
    case protocolViolation(String, commitLSN: LSN)
    /// The change at `position` cannot be published as it is.
    case poison(PoisonReason, at: Position, relation: String)
    /// What comes first after a restart is not what the stream ends with: the server's history is another one.
    case historyDiverged(HistoryProof, found: HistoryProof.Evidence)
    /// The transaction that the stream ends with has fewer changes than were stored of it.
    case transactionShrank(stored: Position, changeCount: UInt64)
    /// A row of a relation that the caller has refused (`TableDescription.isRefused`). Nothing of the change was handed on.
    case relationRefused(RelationID, commitLSN: LSN)
    /// A mask or an id needs a digest that could not be computed. Nothing of the change was handed on.
    case digestUnavailable(relation: String, commitLSN: LSN)
    /// The subject template is not usable.
    case subjectTemplate(String)
}

/// Why an event was not written.
enum EncodingFailure: Error {
    case poison(PoisonReason)
    /// A composite's text has another number of fields than its type is known to have.
    case compositeChanged
    /// The database has to be asked about values first (`ValueContext.casts`).
    case castsNeeded
    /// One of `CaptureFunctions` failed.
    case digestUnavailable
}

extension CaptureError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .protocolViolation(let what, let commitLSN):
            "\(what) (in the transaction that commits at \(commitLSN))"
        case .poison(let reason, let position, let relation):
            "\(relation) at \(position): \(reason)"
        case .historyDiverged(.transaction(let position, let transactionID, _), .transaction(let foundLSN, let foundID))
        where foundLSN == position.commitLSN && foundID == transactionID:
            "the stream ends with transaction \(transactionID) at \(position), the server sent one of the same id and position that committed at another time"
        case .historyDiverged(let proof, let found): "\(proof), but \(found)"
        case .transactionShrank(let stored, let changeCount):
            "the stream holds \(stored), the server's transaction has only \(changeCount) changes"
        case .relationRefused(let id, let commitLSN):
            "a row of relation \(id) must not be published (in the transaction that commits at \(commitLSN))"
        case .digestUnavailable(let relation, let commitLSN):
            "libcrypto computes no digest for an event of \(relation) (in the transaction that commits at \(commitLSN))"
        case .subjectTemplate(let why): why
        }
    }
}
