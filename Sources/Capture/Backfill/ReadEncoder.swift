public import PGOutput
public import WAL

/// Writes the events of a backfill: a table's rows as they are, by the same rules as those of changes.
///
/// Owned by one thread.
public struct ReadEncoder: ~Copyable {
    /// What is the same for all rows of a table.
    public final class Table {
        public let relation: Relation
        let plan: RelationPlan
        let operation: RelationPlan.Operation

        fileprivate init(_ plan: RelationPlan, _ operation: RelationPlan.Operation) {
            relation = plan.relation
            self.plan = plan
            self.operation = operation
        }

        public var entity: String { plan.entity }
        public var kindIndex: Int32 { operation.kindIndex }
        /// The configuration publishes no such events.
        public var isExcluded: Bool { operation.isExcluded }
        /// Whether a value may need a cast that only the database can do.
        public var mayNeedCasts: Bool { plan.mayNeedCasts }
    }

    private let configuration: CaptureConfiguration
    private let template: SubjectTemplate
    private let exclusions: [ExclusionPattern]
    private let identity: SourceIdentity
    private var encoder: EventEncoder

    /// The parameters are those of `TransactionAssembler`.
    /// - Throws: `.subjectTemplate`.
    public init(
        configuration: CaptureConfiguration, functions: CaptureFunctions, identity: SourceIdentity, payloadLimit: Int
    ) throws(CaptureError) {
        self.configuration = configuration
        template = try SubjectTemplate(configuration.subjectTemplate)
        exclusions = configuration.exclusions.map(ExclusionPattern.init)
        self.identity = identity
        encoder = EventEncoder(
            format: configuration.format, functions: functions, payloadLimit: payloadLimit,
            reservedSubject: ReservedEntity.subject(prefix: configuration.subjectPrefix))
    }

    /// What a table's rows are written by.
    /// - Parameters:
    ///   - name: The operation's: `READ`, `INSERT`.
    ///   - kindIndex: Given the entity: what its events are counted by.
    public func table(
        _ relation: Relation, _ description: TableDescription, operation name: String, kindIndex: (_ entity: String) -> Int32
    ) -> Table {
        let plan = RelationPlan(
            relation, configuration: configuration, database: identity.databaseName, types: description.types, facts: description.facts,
            isRefused: description.isRefused)
        return Table(
            plan,
            RelationPlan.Operation(
                .insert, named: name, of: plan, configuration: configuration, template: template, exclusions: exclusions, identity: identity,
                kindIndex: { kindIndex(plan.entity) }))
    }

    /// A snapshot's rows follow.
    /// - Parameters:
    ///   - lsn: What it shows commits before it.
    ///   - readAt: When it was taken.
    public mutating func begin(run: UInt64, lsn: LSN, readAt: PostgresTimestamp) {
        encoder.beginReads(run: run, lsn: lsn, readAt: readAt)
    }

    /// Values of the rows that were cast to json for them.
    public mutating func remember(_ requests: [CastRequest], _ answers: [CastAnswer]) {
        encoder.context.casts.answered(requests, answers)
    }

    /// Forgets those of rows that are written.
    public mutating func forgetCasts() { encoder.context.casts.removeAll() }

    /// What has to be asked before this row can be written; empty: nothing.
    public mutating func requests(of index: Int, in rows: ReadRows, _ table: Table) -> [CastRequest] {
        let failure = rows.withRow(index) { row -> EncodingFailure? in
            do throws(EncodingFailure) {
                try encoder.openRead(table.operation, of: table.plan, row, id: [UInt8]().span)
                return nil
            } catch {
                return error
            }
        }
        guard case .castsNeeded = failure else { return [] }
        return encoder.context.casts.takeRequests()
    }

    /// Writes one row's event.
    /// - Parameters:
    ///   - previous: The event behind which it stands.
    /// - Returns: Its message id.
    /// - Throws: `.poison` for a row that cannot be an event; nothing was handed on.
    @discardableResult
    public mutating func write(
        _ index: Int, of rows: ReadRows, _ table: Table, behind previous: MessageID, _ place: BackfillPlace, readAt: PostgresTimestamp,
        into sink: inout some EventSink & ~Copyable
    ) throws(CaptureError) -> [UInt8] {
        let id = Array(previous.backfilled(place).utf8)
        let header = EventHeader(
            position: previous.position, transactionID: previous.transactionID, commitTimestamp: readAt, kindIndex: table.kindIndex, isLast: true,
            run: place.run, count: place.count)
        let failure = rows.withRow(index) { row -> EncodingFailure? in
            do throws(EncodingFailure) {
                try encoder.openRead(table.operation, of: table.plan, row, id: id.span)
                return nil
            } catch {
                return error
            }
        }
        let tail = table.plan.tail
        guard let failure else {
            encoder.handOver(header, tail: tail, into: &sink)
            return id
        }
        encoder.context.casts.dropRequests()
        switch failure {
        case .poison(let reason): throw .poison(reason, at: previous.position, relation: table.plan.qualifiedName)
        case .digestUnavailable: throw .digestUnavailable(relation: table.plan.qualifiedName, commitLSN: previous.position.commitLSN)
        // What the type is now was looked up when the rows were read: a value that is of another form, or was not cast, is none that can be written.
        case .compositeChanged, .castsNeeded:
            throw .protocolViolation("a row of \(table.plan.qualifiedName) whose types changed during the read", commitLSN: previous.position.commitLSN)
        }
    }
}
