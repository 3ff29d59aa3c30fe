import Capture
import History
import PGOutput
import WAL

/// What a `ChangeReader` knows of the tables that it reads of, and what it has to ask before the next message.
struct TablesInReading {
    /// Relations of which not all was shown when they were described, each with the transaction that may have changed it.
    private var provisional: [RelationID: TransactionID] = [:]
    /// Those of them of which all is shown by now: they are described again.
    private var shownByNow: [(id: RelationID, transactionID: TransactionID)] = []
    /// Whether that was asked before the Begin that waits.
    private var hasLooked = false
    /// Why rows of these relations must not be published.
    private var refusals: [RelationID: StreamerError] = [:]
    private var isReviewDue = false
    /// What was asked and has no answer yet, and the answer.
    private var open: (question: TableQuestion, answer: TableAnswer?)?

    /// Whether something has to be known before this message, whatever is in it.
    func isDue(before message: PGOutputMessage) -> Bool {
        if isReviewDue { return true }
        if case .begin = message { return !provisional.isEmpty || !shownByNow.isEmpty }
        return false
    }

    /// Finds it out.
    /// - Returns: False: it is not known yet.
    mutating func settle(
        before message: PGOutputMessage, _ assembler: inout TransactionAssembler, by catalogue: some CataloguePort
    ) throws(StreamerError) -> Bool {
        if isReviewDue {
            // Of tables that were dropped nothing is kept.
            let relations = assembler.relationsDueForReview
            if !relations.isEmpty {
                guard case .gone(let gone, let asOf) = try ask(.gone(relations.sorted { $0.rawValue < $1.rawValue }), catalogue)
                else { return false }
                assembler.reviewed(gone: gone, asOf: asOf)
                for id in gone { refusals[id] = nil }
            }
            isReviewDue = false
        }
        guard case .begin = message else { return true }
        return try describeProvisional(&assembler, catalogue)
    }

    /// Describes again what is shown by now. A transaction that uses what another has made or changed began its work on it when that was shown: at its
    /// Begin it is.
    private mutating func describeProvisional(
        _ assembler: inout TransactionAssembler, _ catalogue: some CataloguePort
    ) throws(StreamerError) -> Bool {
        if !hasLooked {
            let transactionIDs = Set(provisional.values).sorted { $0.rawValue < $1.rawValue }
            guard case .shown(let shown) = try ask(.shown(transactionIDs), catalogue) else { return false }
            hasLooked = true
            for (id, transactionID) in provisional where shown.contains(transactionID) { shownByNow.append((id, transactionID)) }
            for (id, _) in shownByNow { provisional[id] = nil }
        }
        while let (id, transactionID) = shownByNow.last {
            if let question = assembler.questionAgain(about: id) {
                guard case .capture(.description(let description), let isCertain, let refusal) = try ask(
                    .capture(question, of: transactionID), catalogue)
                else { return false }
                described(id, of: transactionID, isCertain, refusal)
                assembler.describeAgain(id, description)
            }
            shownByNow.removeLast()
        }
        hasLooked = false
        return true
    }

    /// Answers what the assembler asks.
    /// - Returns: False: it is not known yet.
    mutating func answer(
        _ assembler: inout TransactionAssembler, by catalogue: some CataloguePort
    ) throws(StreamerError) -> Bool {
        let transactionID = assembler.currentTransactionID
        guard let question = assembler.question,
            case .capture(let answer, let isCertain, let refusal) = try ask(.capture(question, of: transactionID), catalogue)
        else { return false }
        switch question {
        case .description(of: let relation, _): described(relation.id, of: transactionID, isCertain, refusal)
        case .types(of: let id, _): if !isCertain { provisional[id] = transactionID }
        case .casts: break
        }
        assembler.answer(answer)
        return true
    }

    private mutating func described(
        _ id: RelationID, of transactionID: TransactionID, _ isCertain: Bool, _ refusal: StreamerError?
    ) {
        provisional[id] = isCertain ? nil : transactionID
        refusals[id] = refusal
        isReviewDue = true
    }

    /// Whether what was asked last has an answer by now.
    mutating func hasAnswer(from catalogue: some CataloguePort) throws(StreamerError) -> Bool {
        guard let question = open?.question, open?.answer == nil else { return true }
        guard let answer = try catalogue.answer(to: question) else { return false }
        open = (question, answer)
        return true
    }

    private mutating func ask(
        _ question: TableQuestion, _ catalogue: some CataloguePort
    ) throws(StreamerError) -> TableAnswer? {
        if let (known, answer) = open, known == question, let answer {
            open = nil
            return answer
        }
        open = (question, nil)
        let answer = try catalogue.answer(to: question)
        if answer != nil { open = nil }
        return answer
    }

    /// What the assembler's error means.
    func explained(_ error: CaptureError) -> StreamerError {
        if case .relationRefused(let id, _) = error, let refusal = refusals[id] { return refusal }
        return .capture(error)
    }
}
