import Capture
import History
import PGOutput
import PostgresReplication
import Threads
import WAL

/// All that a question to the catalogue is asked with. It goes to the thread that waits for the answer, and comes back.
struct CatalogueKit: ~Copyable, Sendable {
    /// nil: it is lost.
    var sql: SQLConnection?
    var casts: JSONCasts
    var columnRules: ColumnRules
    /// How long the first thing that is not shown is waited for.
    var patience: Duration
    /// Of the relation that is being described.
    var learned: CatalogueReader.Learned

    /// Asks, and waits.
    /// - Throws: `.postgres`; the connection is lost then.
    mutating func ask(_ question: TableQuestion) throws(StreamerError) -> TableAnswer {
        guard let sql = sql.take() else { throw .cancelled }
        do throws(PostgresError) {
            let answer = try answer(to: question, within: TimeBudget(from: .now), over: sql)
            self.sql = consume sql
            return answer
        } catch {
            throw .postgres(error)
        }
    }

    private mutating func answer(
        to question: TableQuestion, within budget: TimeBudget, over sql: borrowing SQLConnection
    ) throws(PostgresError) -> TableAnswer {
        switch question {
        case .capture(.description(of: let relation, let needsFacts), of: let transactionID):
            var (description, isCertain) = try CatalogueReader.describe(
                relation, needsFacts: needsFacts, of: transactionID, named: casts.named, patience: patience, learned: &learned,
                within: budget, over: sql)
            for name in description.types.withheldCasts { casts.withheld(name) }
            var refusal: StreamerError?
            if !columnRules.isEmpty {
                let view = try CatalogueView.of(transactionID, within: budget, over: sql)
                refusal = try columnRules.refusal(of: relation, in: view, within: budget, sql: sql)
            }
            description.isRefused = refusal != nil
            return .capture(.description(description), isCertain: isCertain, refusal: refusal)
        case .capture(.types(_, let typeOIDs), of: let transactionID):
            let view = try CatalogueView.of(transactionID, within: budget, over: sql)
            var types = TypeCatalogue()
            let isCertain = try CatalogueReader.refresh(
                &types, for: typeOIDs, in: view, named: casts.named, within: budget, over: sql)
            return .capture(.types(types), isCertain: isCertain, refusal: nil)
        case .capture(.casts(let requests), _):
            var answers: [CastAnswer] = []
            for request in requests { answers.append(try casts.json(of: request.text, castFrom: request.typeOID, over: sql)) }
            return .capture(.casts(answers), isCertain: true, refusal: nil)
        case .shown(let transactionIDs):
            var shown: Set<TransactionID> = []
            for id in transactionIDs where try CatalogueView.isShown(id, within: budget, over: sql) { shown.insert(id) }
            return .shown(shown)
        case .gone(let relations):
            let gone = try CatalogueReader.gone(among: relations, within: budget, over: sql)
            return .gone(gone.relations, asOf: gone.asOf)
        }
    }
}
