public import PGOutput
public import WAL

/// Rows → transactions → events: gives every change its position, leaves out what is stored or excluded, and hands on the rest with `last` where it belongs.
///
/// It looks one published change ahead, so a transaction of any size passes through in constant memory. Owned by one thread, made anew for each connection.
public struct TransactionAssembler: ~Copyable {
    /// What a message meant for the position.
    public enum Action: Equatable, Sendable {
        case none
        case transactionBegan
        /// All events of the transaction have been handed on; `endLSN` is what confirms it.
        case transactionEnded(endLSN: LSN)
        /// The message was not taken: `question` has to be answered, then the same message to be given again.
        case asks
    }

    /// More entities than this share the kind `other`: label sets stay bounded.
    public static let entityLimit = 300

    /// Kinds beyond which entity and operation are `other` both: logical messages name operations as they like.
    public static let eventKindLimit = 8 * entityLimit

    /// A longer name of an entity or an operation is counted as `other`: no table's is, and logical messages name both as they like.
    static let kindNameByteLimit = 64

    /// The transaction that has begun and not ended.
    struct Current {
        var transactionID: TransactionID
        var commitLSN: LSN
        var commitTimestamp: PostgresTimestamp
        /// Of the latest change; 0: none has come.
        var ordinal: UInt64 = 0
    }

    /// What the operator chose.
    let configuration: CaptureConfiguration
    /// `configuration.subjectTemplate`, read.
    let template: SubjectTemplate
    /// The database that the changes are of.
    let identity: SourceIdentity
    /// The server's history, for the timeline in each id.
    let timelines: TimelineHistory
    /// Holds the event that waits for its `last`.
    var encoder: EventEncoder
    let exclusions: [ExclusionPattern]
    var plans = RelationPlans()
    /// The relation's of the latest change.
    var lastPlan: RelationPlan?
    /// nil between transactions.
    var current: Current?
    /// nil once it has come.
    private var proof: HistoryProof?

    /// What has to be answered before the message that was given last can be taken; nil: it was taken, or the answer is there.
    public internal(set) var question: CatalogueQuestion?
    /// The answer that the next Relation takes with it: one that is described anew may have other facts.
    var description: TableDescription?
    /// The types of the row that was given last were looked up for it.
    var hasFreshTypes = false
    /// What events are counted by, in the order of `EventHeader.kindIndex`. It only grows.
    public private(set) var eventKinds: [EventKind] = []
    private var kindIndices: [EventKind: Int32] = [:]
    private var entities: Set<String> = []

    /// Stream Aborts so far, of transactions that were never streamed.
    public private(set) var strayAbortCount: UInt64 = 0

    /// Where the last transaction, or message of none, ended: what comes behind it commits behind it.
    private var lastEndLSN = LSN.invalid

    /// What was published of changes that could not be events.
    public internal(set) var poison = PoisonTally()
    /// nil until something is quarantined.
    var quarantinePlan: EventEncoder.QuarantinePlan?

    /// Everything at or below it is proven to be stored, and is left out.
    let watermark: Position?
    /// Changes that are passed over if they cannot be events.
    let skips: [AcceptedSkip]
    /// Told of the rows of the tables that it watches; nil: nobody watches any.
    public var witness: (any RowWitness)?

    /// - Parameters:
    ///   - functions: What masks and the format fraiseql need.
    ///   - payloadLimit: Bytes of payload that the server takes.
    ///   - proof: What has to come before anything else is believed; nil: the slot is beyond all that is stored.
    ///   - skips: What is passed over on purpose if it cannot be an event: a marker goes out in its place.
    ///   - eventKinds: Those of the assembler before this one: the limits hold for the process.
    /// - Throws: `.subjectTemplate`.
    public init(
        configuration: CaptureConfiguration, functions: CaptureFunctions, identity: SourceIdentity,
        timelines: TimelineHistory, payloadLimit: Int, watermark: Position?, proof: HistoryProof?,
        skips: [AcceptedSkip] = [], eventKinds: [EventKind] = []
    ) throws(CaptureError) {
        template = try SubjectTemplate(configuration.subjectTemplate)
        self.configuration = configuration
        exclusions = configuration.exclusions.map(ExclusionPattern.init)
        self.identity = identity
        self.timelines = timelines
        encoder = EventEncoder(
            format: configuration.format, functions: functions, payloadLimit: payloadLimit,
            reservedSubject: ReservedEntity.subject(prefix: configuration.subjectPrefix))
        self.watermark = watermark
        self.proof = proof
        self.skips = skips
        self.eventKinds = eventKinds
        kindIndices = Dictionary(uniqueKeysWithValues: zip(eventKinds, Int32(0)...))
        entities = Set(eventKinds.map(\.entity))
    }

    /// Values so far whose text went out because nobody knows their type (any more).
    public var unknownTypeValueCount: UInt64 { encoder.context.unknownTypeValueCount }

    /// Values so far whose text went out because their type's cast to json failed, or is not called.
    public var uncastValueCount: UInt64 { encoder.context.uncastValueCount }

    /// Bytes of the event that waits for its `last`; what the next message may hand on at most, TRUNCATE of several tables aside.
    public var openByteCount: Int { encoder.openByteCount }

    /// Of the transaction that has begun and not ended; `.none` outside one.
    public var currentTransactionID: TransactionID { current?.transactionID ?? .none }

    /// Whether a transaction has begun and not ended.
    public var isInTransaction: Bool { current != nil }

    /// Whether a change of the transaction has come that has begun and not ended.
    public var hasChanges: Bool { (current?.ordinal ?? 0) > 0 }

    /// Whether the server has shown that its history is the stream's. Nothing may be confirmed before.
    public var isHistoryProven: Bool { proof == nil }

    /// The server has decoded everything up to `end`, and sent what there is of it.
    /// - Throws: `.historyDiverged`.
    public mutating func decoded(upTo end: LSN) throws(CaptureError) {
        if let proof { self.proof = try proof.after(decodingUpTo: end) }
    }

    /// A message of no transaction has come.
    mutating func receivedMessage(at lsn: LSN) throws(CaptureError) {
        guard lsn >= lastEndLSN else { throw violation("a message at \(lsn) behind what ended at \(lastEndLSN)") }
        if let proof { self.proof = try proof.after(messageAt: lsn) }
        lastEndLSN = lsn
    }

    /// Takes the next message. Events that became complete by it go to `sink`, in order.
    ///
    /// - Parameters:
    ///   - bytes: The message that `decoder` made `message` of; valid during the call.
    ///   - sendTime: When the server sent it; the time of a non-transactional message.
    /// - Returns: `.asks` for every Relation, and for a row with values that only the database can tell. Of the row nothing has been handed on then, and
    ///   nothing is left.
    /// - Throws: `CaptureError`; nothing of the change that failed has been handed on.
    public mutating func receive(
        _ message: PGOutputMessage, of decoder: borrowing PGOutputDecoder, bytes: RawSpan, sendTime: PostgresTimestamp,
        into sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) -> Action {
        switch message {
        case .insert(let insert):
            return try row(.insert, insert.relationID, .none, decoder, bytes, &sink)
        case .update(let update):
            return try row(.update, update.relationID, update.old, decoder, bytes, &sink)
        case .delete(let delete):
            return try row(.delete, delete.relationID, delete.old, decoder, bytes, &sink)
        case .begin(let begin): return try began(begin)
        case .commit(let commit): return try ended(commit, &sink)
        case .relation(let relation):
            guard let description else {
                question = questionAbout(relation)
                return .asks
            }
            self.description = nil
            replacePlan(for: relation, description)
            return .none
        case .truncate(let truncate):
            try truncated(truncate, bytes, &sink)
            return .none
        case .message(let message):
            try logicalMessage(message, bytes, sendTime, &sink)
            return .none
        // A relation's own types are looked up by OID when it is described; where a change came from is not told.
        case .type, .origin: return .none
        case .streamAbort:
            // PostgreSQL 18 says it of a transaction that it found rolled back while it decoded it: of that nothing was ever sent.
            guard current == nil else { throw violation("a Stream Abort inside a transaction") }
            strayAbortCount += 1
            return .none
        case .streamStart, .streamStop, .streamCommit, .beginPrepare, .prepare, .commitPrepared,
            .rollbackPrepared, .streamPrepare:
            throw violation("a message of streamed or prepared transactions, which were not asked for")
        }
    }

    // MARK: - Transactions

    private mutating func began(_ begin: Begin) throws(CaptureError) -> Action {
        guard current == nil else { throw violation("a Begin inside a transaction") }
        guard begin.finalLSN >= lastEndLSN else {
            throw violation("a transaction that commits at \(begin.finalLSN) behind what ended at \(lastEndLSN)")
        }
        if let proof { self.proof = try proof.after(begin) }
        current = Current(
            transactionID: begin.xid, commitLSN: begin.finalLSN, commitTimestamp: begin.commitTimestamp)
        plans.began(at: begin.finalLSN)
        encoder.beginTransaction(
            identity: identity, timeline: timelines.timeline(containing: begin.finalLSN), xid: begin.xid,
            commitLSN: begin.finalLSN, commitTimestamp: begin.commitTimestamp)
        return .transactionBegan
    }

    private mutating func ended(
        _ commit: Commit, _ sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) -> Action {
        guard let current, current.commitLSN == commit.commitLSN else {
            throw violation("a Commit at \(commit.commitLSN) that does not end the transaction that began")
        }
        guard commit.endLSN > commit.commitLSN else {
            throw violation("a Commit at \(commit.commitLSN) that ends at \(commit.endLSN)")
        }
        if let watermark, watermark.commitLSN == current.commitLSN, watermark.ordinal > current.ordinal {
            throw .transactionShrank(stored: watermark, changeCount: current.ordinal)
        }
        encoder.close(isLast: true, into: &sink)
        self.current = nil
        lastEndLSN = commit.endLSN
        return .transactionEnded(endLSN: commit.endLSN)
    }

    // MARK: - Changes

    /// Counts the change; nil if it is stored already.
    @inline(__always)
    mutating func nextPosition() throws(CaptureError) -> Position? {
        guard let commitLSN = current?.commitLSN else { throw violation("a change outside a transaction") }
        current?.ordinal += 1
        let position = Position(commitLSN: commitLSN, ordinal: current?.ordinal ?? 0)
        if let watermark, position <= watermark { return nil }
        return position
    }

    /// The plan of a change's relation.
    @inline(__always)
    mutating func plan(for id: RelationID) throws(CaptureError) -> RelationPlan {
        if let lastPlan, lastPlan.id == id { return lastPlan }
        guard let plan = plans[id] else { throw violation("a change of relation \(id), which was never described") }
        lastPlan = plan
        return plan
    }

    /// What is the same for all changes of this kind to the relation.
    @inline(__always)
    mutating func operation(_ operation: RowOperation, of plan: RelationPlan) -> RelationPlan.Operation {
        if let known = plan.operations[operation.rawValue] { return known }
        let new = RelationPlan.Operation(
            operation, of: plan, configuration: configuration, template: template, exclusions: exclusions,
            identity: identity, kindIndex: { kindIndex(entity: plan.entity, operation: operation.name) })
        plan.operations[operation.rawValue] = new
        return new
    }

    /// Relations of which the caller should find out whether they still exist; none while there are few.
    public var relationsDueForReview: [RelationID] { plans.dueForReview }

    /// The catalogue was asked after `lsn` had been written, and no longer has `gone`: their plans go when all that came before is decoded.
    public mutating func reviewed(gone: Set<RelationID>, asOf lsn: LSN) { plans.reviewed(gone: gone, asOf: lsn) }

    /// The index of a kind in `eventKinds`, which grows by it if it is new.
    public mutating func kindIndex(entity: String, operation: String) -> Int32 {
        var kind = EventKind(
            entity: entity.utf8.count > Self.kindNameByteLimit ? "other" : entity,
            operation: operation.utf8.count > Self.kindNameByteLimit ? "other" : operation)
        if entities.count >= Self.entityLimit, !entities.contains(kind.entity) {
            kind = EventKind(entity: "other", operation: kind.operation)
        }
        if let index = kindIndices[kind] { return index }
        if eventKinds.count >= Self.eventKindLimit {
            kind = EventKind(entity: "other", operation: "other")
            if let index = kindIndices[kind] { return index }
        }
        entities.insert(kind.entity)
        let index = Int32(eventKinds.count)
        eventKinds.append(kind)
        kindIndices[kind] = index
        return index
    }

    /// The error for a message that the protocol does not allow here.
    func violation(_ what: String) -> CaptureError {
        .protocolViolation(what, commitLSN: current?.commitLSN ?? .invalid)
    }
}
