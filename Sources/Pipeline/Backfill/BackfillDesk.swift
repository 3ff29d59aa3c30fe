package import History
package import JetStreamPublishing
import Threads
import WAL

/// Where somebody asks for backfills, and asks how they go: the requests beside the checkpoint record, changed by compare-and-set, and the record itself.
package enum BackfillDesk {
    /// What stood there at one moment.
    package struct Contents: Sendable {
        package var requests: BackfillRequests
        /// Of the requests; 0: there are none yet.
        package var revision: UInt64
        /// nil: no streamer has ever been set up.
        package var record: CheckpointRecord?

        /// All runs that are known of, by number.
        package var runs: [BackfillRun] { BackfillRun.all(requests, record) }
    }

    /// Others may ask at the same time.
    private static let attemptLimit = 20
    /// For NATS to come back while a run is watched.
    private static let patience = Duration.seconds(60)
    /// For a streamer to notice a wish: it looks once a second.
    private static let noticeTime = Duration.seconds(5)
    /// Between two looks at a run.
    private static let interval = Duration.seconds(1)

    /// Reads what is asked for; (none, 0) where nothing ever was.
    /// - Throws: `.stop(.configuration)` where another version wrote it.
    package static func requests(
        of stream: String, _ nats: some StreamReader
    ) throws(StreamerError) -> (requests: BackfillRequests, revision: UInt64) {
        let key = BackfillRequests.key(of: stream)
        let entry = try StreamerError.ofJetStream { () throws(JetStreamError) in try nats.bucketGet(CheckpointRecord.bucket, key: key) }
        switch entry {
        case .bucketMissing, .keyMissing: return (BackfillRequests(), 0)
        case .deleted(let revision): return (BackfillRequests(), revision)
        case .value(let json, let revision):
            guard let requests = BackfillRequests(json: json) else {
                throw .stop(
                    .configuration,
                    what: "the requests for backfills, \(key) in the bucket \(CheckpointRecord.bucket), cannot be read: another version of Slotstream wrote them",
                    remedy: "Use the version of Slotstream that wrote them")
            }
            return (requests, revision)
        }
    }

    /// Reads it all: the requests first, since a run is in the record before its request is forgotten.
    package static func read(_ stream: String, _ nats: some StreamReader) throws(StreamerError) -> Contents {
        let (requests, revision) = try requests(of: stream, nats)
        let (record, _) = try ServerFacts.checkpointRecord(of: stream, nats)
        return Contents(requests: requests, revision: revision, record: record)
    }

    /// What stands there now.
    package static func read(_ configuration: StreamerConfiguration) throws(StreamerError) -> Contents {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        return try read(configuration.stream.name, link.connection)
    }

    // MARK: - Asking

    /// Adds a request, and gives it its number.
    static func put(_ request: BackfillRequest, _ stream: String, _ nats: JetStreamConnection) throws(StreamerError) -> BackfillRun {
        var number: UInt64 = 0
        let contents = try change(stream, nats) { (contents) throws(StreamerError) in
            guard contents.record.map({ !$0.isClaim }) == true else {
                throw .stop(
                    .configuration, what: "there is no checkpoint record for stream \(stream), so no streamer can carry out a backfill",
                    remedy: "Set up the slot and the stream, and stream: `slotstream run`. Or correct transport.nats.stream_name")
            }
            guard let added = contents.requests.add(request, contents.record) else {
                throw .stop(
                    .configuration, what: "\(BackfillRequests.openLimit) backfills are waiting or under way, and that is the most",
                    remedy: Steps.text(["See them: `slotstream backfill --list`", "Wait until one is over, or cancel one with --cancel and the number of the run"]))
            }
            number = added
        }
        return try found(number, in: contents)
    }

    /// Changes what is wanted of a run.
    /// - Parameter run: nil: the only one that is not over.
    /// - Throws: `.stop(.configuration)` where there is no such run, or it is over, or several are meant.
    package static func want(
        _ wish: BackfillRequest.Wish, of run: UInt64?, _ configuration: StreamerConfiguration
    ) throws(StreamerError) -> BackfillRun {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        let stream = configuration.stream.name
        let meant = try openRun(run, in: read(stream, link.connection).runs)
        if wish == .run, meant.state == .failed {
            // It was wanted all the time: only another wish before this one says that it is to be tried again.
            _ = try want(.pause, of: meant.run, stream, link.connection)
            let deadline = Instant.now + noticeTime
            while Instant.now < deadline, try read(stream, link.connection).record?.backfill?.state == .failed {
                link.wake.wait(timeout: .milliseconds(200))
            }
        }
        return try want(wish, of: meant.run, stream, link.connection)
    }

    private static func want(
        _ wish: BackfillRequest.Wish, of run: UInt64, _ stream: String, _ nats: JetStreamConnection
    ) throws(StreamerError) -> BackfillRun {
        let contents = try change(stream, nats) { (contents) throws(StreamerError) in
            _ = try openRun(run, in: contents.runs)
            guard contents.requests.want(wish, of: run) else {
                throw .stop(
                    .configuration, what: "there is no request for run \(run) any more, so nothing can be wanted of the run",
                    remedy: "See the runs: `slotstream backfill --list`")
            }
        }
        return try found(run, in: contents)
    }

    /// The run of that number; without one, the only one that is not over.
    /// - Parameter isOverAllowed: Whether the run of that number may be over.
    /// - Throws: `.stop(.configuration)` that lists those that are not.
    package static func openRun(_ number: UInt64?, in runs: [BackfillRun], isOverAllowed: Bool = false) throws(StreamerError) -> BackfillRun {
        let open = runs.filter { !$0.state.isOver }
        let listed = open.isEmpty ? "no backfill is waiting or under way" : "not over: \(open.map { "run \($0.run) (\($0.state.rawValue))" }.joined(separator: ", "))"
        if let number {
            guard let run = runs.first(where: { $0.run == number }) else {
                throw .stop(.configuration, what: "there is no run \(number); \(listed)", remedy: "See the runs: `slotstream backfill --list`")
            }
            guard isOverAllowed || !run.state.isOver else {
                throw .stop(.configuration, what: "run \(number) is \(run.state.rawValue) already; \(listed)", remedy: "See the runs: `slotstream backfill --list`")
            }
            return run
        }
        guard let only = open.first, open.count == 1 else {
            throw .stop(.configuration, what: open.isEmpty ? listed : "several runs are \(listed)", remedy: "Name the run by its number. See the runs: `slotstream backfill --list`")
        }
        return only
    }

    private static func found(_ number: UInt64, in contents: Contents) throws(StreamerError) -> BackfillRun {
        guard let run = contents.runs.first(where: { $0.run == number }) else {
            throw .checkpointConflict("run \(number) is not among the requests any more")
        }
        return run
    }

    /// Reads, changes and puts, until nobody else did so in between.
    private static func change(
        _ stream: String, _ nats: JetStreamConnection, _ body: (inout Contents) throws(StreamerError) -> Void
    ) throws(StreamerError) -> Contents {
        let key = BackfillRequests.key(of: stream)
        for _ in 0..<attemptLimit {
            var contents = try read(stream, nats)
            try body(&contents)
            do throws(JetStreamError) {
                contents.revision = try nats.bucketPut(
                    CheckpointRecord.bucket, key: key, value: contents.requests.json(), expectedRevision: contents.revision)
                return contents
            } catch {
                switch error {
                case .timedOut, .notConnected:
                    // It may have been put all the same: asked for twice, it would be carried out twice.
                    let (requests, revision) = try requests(of: stream, nats)
                    if requests == contents.requests, revision > contents.revision { return contents }
                    throw .jetStream(error)
                default:
                    guard error.isWrongLastSequence else { throw .jetStream(error) }
                }
            }
        }
        throw .checkpointConflict("the requests for backfills were changed by others, again and again: try again")
    }

    // MARK: - Watching

    /// Looks at a run once a second until it is over, or has failed.
    /// - Parameter onLook: Told of it each time.
    /// - Returns: How it stands at the end; nil: nothing is known of it any more.
    package static func follow(
        _ number: UInt64, _ configuration: StreamerConfiguration, onLook: (BackfillRun) -> Void
    ) throws(StreamerError) -> BackfillRun? {
        let link = try NATSLink.connected(configuration.nats, stream: configuration.stream.name)
        defer { link.connection.close() }
        var patience = Instant.now + Self.patience
        while true {
            do throws(StreamerError) {
                guard let run = try read(configuration.stream.name, link.connection).runs.first(where: { $0.run == number }) else { return nil }
                onLook(run)
                if run.state.isOver || run.state == .failed && run.request?.wish != .cancel { return run }
                patience = .now + Self.patience
            } catch {
                // A server that restarts meanwhile is waited for.
                guard case .jetStream(let fault) = error, fault.isTransient, Instant.now < patience else { throw error }
            }
            link.wake.wait(timeout: interval)
        }
    }
}
