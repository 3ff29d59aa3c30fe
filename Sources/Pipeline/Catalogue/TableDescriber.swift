import Capture
import History
import Logging
import PGOutput
import PostgresReplication
import Threads
import WAL

/// What is asked about tables, over the ordinary connection, on a thread that may wait. It belongs to the thread that reads.
///
/// It outlives the sessions: a question that a session leaves behind is answered all the same, and the next session, which comes to the same message, finds the
/// answer, or what was learned before an error.
final class TableDescriber: CataloguePort {
    /// From its flush to its being shown a transaction takes this long at most, where nothing holds it up.
    static let visibilityPatience = Duration.milliseconds(250)

    private let configuration: StreamerConfiguration.Casts
    private let logger: Logger
    private let wake: WakeSignal
    /// Of the session that asks now.
    private weak var connection: OrdinaryConnection?
    private var casts: JSONCasts?
    private var columnRules: ColumnRules?
    private var source: SourceIdentity?
    private var timeline: UInt32 = 0
    /// The question that is under way, and whether this session's connection is with it.
    private var errand: CatalogueErrand?
    private var isOurs = false
    /// An answer that nobody has asked for again yet.
    private var answered: (question: TableQuestion, answer: TableAnswer)?
    /// What is known of the relation that could not be described.
    private var learned: (question: TableQuestion, CatalogueReader.Learned)?
    /// How long the first thing that is not shown is waited for; none while transactions wait for a standby, which may be us.
    private var patience = TableDescriber.visibilityPatience

    init(_ configuration: StreamerConfiguration.Casts, wake: WakeSignal, logger: Logger) {
        self.configuration = configuration
        self.wake = wake
        self.logger = logger
    }

    /// A session begins.
    /// - Throws: what is wrong with the connection that casts need.
    func begin(
        over connection: OrdinaryConnection, columnRules: ColumnRules, of source: SourceIdentity, timeline: UInt32
    ) throws(PostgresError) {
        if self.source != source || self.timeline != timeline {
            // Another history: what was learned of the one before means nothing in it.
            errand = nil
            answered = nil
            learned = nil
        }
        self.source = source
        self.timeline = timeline
        self.connection = connection
        self.columnRules = columnRules
        isOurs = false
        let logger = logger
        var casts = JSONCasts(configuration) { sentence in
            logger.warning("a cast to json is not used", metadata: ["what": "\(sentence)"])
        }
        try casts.prepare()
        self.casts = consume casts
    }

    func answer(to question: TableQuestion) throws(StreamerError) -> TableAnswer? {
        if let answer = knownAnswer(to: question) { return answer }
        try collect()
        if let (known, answer) = answered.take(), known == question {
            tell(answer, to: question)
            return answer
        }
        // One that another session asked, and that this one does not ask, is left behind.
        guard errand?.question != question, !isOurs else { return nil }
        errand = nil
        try begin(question)
        return nil
    }

    /// What needs no question: a table of the usual types, without rules and without facts to be known.
    private func knownAnswer(to question: TableQuestion) -> TableAnswer? {
        guard case .capture(.description(of: let relation, needsFacts: false), _) = question, columnRules?.isEmpty ?? true,
            TypeCatalogue().missing(relation.columns.map(\.typeOID)).isEmpty
        else { return nil }
        let answer = TableAnswer.capture(.description(TableDescription()), isCertain: true, refusal: nil)
        tell(answer, to: question)
        return answer
    }

    /// Takes what has come back.
    /// - Throws: why there is no answer.
    private func collect() throws(StreamerError) {
        guard let errand else { return }
        var failure: StreamerError?
        errand.take { kit, result in
            self.errand = nil
            var kit = kit
            learned = (errand.question, kit.learned)
            if isOurs { connection?.giveBack(kit.sql.take()) }
            switch result {
            // A refusal is told by the rules as they were looked up for the session that asks.
            case .success(let answer) where isOurs || columnRules?.isEmpty ?? true:
                answered = (errand.question, answer)
                learned = nil
            case .success: break
            case .failure(let error):
                // That of another session's connection is its own affair.
                if isOurs { failure = error }
            }
            if isOurs { casts = consume kit.casts }
            isOurs = false
        }
        if let failure { throw failure }
    }

    /// Sends a question off, once there is a connection to ask over.
    private func begin(_ question: TableQuestion) throws(StreamerError) {
        guard let connection, let columnRules else { throw .cancelled }
        do throws(PostgresError) {
            if connection.isLost {
                guard try connection.hasReconnected() else { return }
            }
        } catch {
            throw .postgres(error)
        }
        guard let sql = connection.lend(), let casts = casts.take() else { return }
        let known = learned.flatMap { $0.question == question ? $0.1 : nil } ?? CatalogueReader.Learned()
        learned = nil
        errand = CatalogueErrand(
            question,
            with: CatalogueKit(sql: sql, casts: casts, columnRules: columnRules, patience: patience, learned: known), wake: wake)
        isOurs = true
    }

    private func tell(_ answer: TableAnswer, to question: TableQuestion) {
        guard case .capture(.description(of: let relation, _), of: let transactionID) = question,
            case .capture(_, let isCertain, _) = answer
        else { return }
        patience = isCertain ? Self.visibilityPatience : .zero
        logger.debug(
            "table described",
            metadata: [
                "table": "\(relation.qualifiedName)", "columns": .stringConvertible(relation.columns.count),
                "identity": "\(relation.replicaIdentity)", "transaction": "\(transactionID)",
            ])
    }
}
