import Glibc
import History
import Logging
import Observing
import PostgresReplication
import Synchronization
import Threads
import WAL

/// Reads FraiseQL's `tb_observer` again and again, and has the worker use what stands there, beside the observers of the file.
final class DatabaseObservers: Sendable {
    /// Between two looks.
    private static let interval = Duration.seconds(5)
    private static let connectTimeout = Duration.seconds(10)
    /// One look's steps, so that a stop is not waited for.
    private static let stepMicroseconds: useconds_t = 100_000

    /// Each as text. FraiseQL has had `actions` as `jsonb[]` and as one `jsonb` array.
    static let query = """
        SELECT name, entity_type, event_type, condition_expression, coalesce(to_jsonb(actions), '[]')::text, enabled::text, priority::text, \
        retry_config::text, timeout_ms::text FROM tb_observer WHERE deleted_at IS NULL ORDER BY name
        """

    private let configuration: WorkerConfiguration
    private let state: WorkerState
    private let logger: Logger
    private let isStopped = Atomic<Bool>(false)
    private let isRead = Atomic<Bool>(false)
    /// The last good definition of each row, by name.
    private let good = Mutex<[String: ObserverDefinition]>([:])

    /// Whether the table was read once: before that nobody knows whom an event is for.
    var hasRead: Bool { isRead.load(ordering: .acquiring) }

    init(_ configuration: WorkerConfiguration, _ state: WorkerState, logger: Logger) {
        self.configuration = configuration
        self.state = state
        self.logger = logger
        do throws(SystemError) {
            try OwnedThread(name: "observers") { [self] in run() }.detach()
        } catch {
            logger.error("tb_observer is not read", metadata: ["error": "\(error.message)"])
        }
    }

    func stop() { isStopped.store(true, ordering: .releasing) }

    /// A connection in a class, since an optional that is kept cannot hold a noncopyable value and be replaced while it is used.
    private final class Boxed {
        let sql: SQLConnection
        init(_ sql: consuming SQLConnection) { self.sql = sql }
    }

    private func opened(_ connection: Boxed?) throws(PostgresError) -> Boxed {
        if let connection { return connection }
        return Boxed(try SQLConnection(configuration.database, timeout: Self.connectTimeout, isReadOnly: true))
    }

    private func run() {
        var connection: Boxed?
        var before: [[String?]]?
        while !isStopped.load(ordering: .acquiring) {
            do throws(PostgresError) {
                let open = try opened(connection)
                connection = open
                let rows = try open.sql.query(Self.query)
                state.mended(.observers)
                if rows != before { use(rows) }
                before = rows
                isRead.store(true, ordering: .releasing)
            } catch {
                connection = nil
                state.tell(
                    .observers,
                    hasRead
                        ? "tb_observer cannot be read now: the observers stay as they are"
                        : "tb_observer was not read yet, and no event is taken before: check observer_worker.database_url", error: "\(error)")
            }
            let end = ContinuousClock.now + Self.interval
            while ContinuousClock.now < end, !isStopped.load(ordering: .acquiring) { usleep(Self.stepMicroseconds) }
        }
    }

    private func use(_ rows: [[String?]]) {
        let read = Self.definitions(rows, configuration)
        for mistake in read.mistakes {
            logger.error("an observer of tb_observer is left out", metadata: ["at": "\(mistake.path)", "error": "\(mistake.what)"])
        }
        for note in read.notes { logger.notice("\(note)") }
        let names = Set(configuration.observers.map(\.name))
        // Of a row that has a mistake now, the last good definition goes on: without it its events would be acknowledged undone.
        let present = Set(rows.compactMap { $0.first.flatMap { $0 } })
        let (definitions, kept) = good.withLock { good in
            let fresh = Dictionary(read.definitions.map { ($0.name, $0) }) { first, _ in first }
            let kept = good.filter { fresh[$0.key] == nil && present.contains($0.key) }
            good = fresh.merging(kept) { first, _ in first }
            return (good.values.sorted { $0.name < $1.name }, kept.keys.sorted())
        }
        for name in kept {
            logger.error(
                "an observer of tb_observer has a mistake now: the worker goes on with the last good row", metadata: ["observer": "\(name)"])
        }
        for definition in definitions where names.contains(definition.name) {
            logger.warning("an observer of tb_observer is left out: the file has one of that name", metadata: ["observer": "\(definition.name)"])
        }
        let observers = configuration.observers + definitions.filter { !names.contains($0.name) }
        state.use(observers)
        logger.notice("tb_observer was read", metadata: ["observers": .stringConvertible(read.definitions.count)])
    }

    /// The rows as definitions.
    static func definitions(
        _ rows: [[String?]], _ configuration: WorkerConfiguration
    ) -> (definitions: [ObserverDefinition], mistakes: [ObserverMistake], notes: [String]) {
        var definitions: [ObserverDefinition] = []
        var mistakes: [ObserverMistake] = []
        var notes: [String] = []
        for columns in rows where columns.count == 9 {
            var row = DatabaseObserverRow(name: columns[0] ?? "", actions: [columns[4] ?? "[]"])
            row.entityType = columns[1]
            row.eventType = columns[2]
            row.conditionExpression = columns[3]
            row.isEnabled = columns[5] != "false"
            row.retryConfig = columns[7]
            if let priority = columns[6].flatMap({ Int($0) }) { row.priority = priority }
            if let milliseconds = columns[8].flatMap({ Int($0) }) { row.timeoutMilliseconds = milliseconds }
            let read = row.read(
                environment: configuration.environment, livePrefix: configuration.subjectPrefix, hasMailServer: configuration.mailServer != nil)
            if let definition = read.definition { definitions.append(definition) }
            mistakes += read.mistakes
            notes += read.notes
        }
        return (definitions, mistakes, notes)
    }
}
