import Capture
import History
import JetStreamPublishing
import Logging
import Synchronization
import Threads
import WAL

/// Looks at the stream and its consumers now and then, over a session's connection and on a thread of its own: for metrics, page and log. Nothing that is delivered waits for it.
///
/// Two or three requests a look, at the first one more, for each consumer that takes part of the stream and seems endangered one more. What is not answered is not known; nothing ends for it.
final class StreamWatch: Sendable {
    /// Between two looks.
    static let interval = LongTime.watch.duration
    /// How long one answer may take.
    static let answerTime = Duration.seconds(5)
    /// Looks from one count of the markers to the next.
    private static let markerInterval = 4
    /// A consumer that was told of is told of again after it had this share of the retention before it.
    private static let safeShare = 0.2

    private let configuration: StreamerConfiguration
    private let connection: JetStreamConnection
    private let observations: Observations
    private let logger: Logger
    private let wake: WakeSignal
    private let isOver = Atomic<Bool>(false)

    /// What the thread remembers from look to look.
    private struct Memory {
        var lookCount = 0
        /// The consumers may not be asked for; the connection is asked once.
        var isListDenied = false
        var endangered: Set<String> = []
        var markerCounts: [String: UInt64]?
    }

    init(
        _ configuration: StreamerConfiguration, over connection: JetStreamConnection, observations: Observations, logger: Logger
    ) throws(SystemError) {
        self.configuration = configuration
        self.connection = connection
        self.observations = observations
        self.logger = logger
        wake = try WakeSignal()
    }

    /// Begins, on a thread of its own. After `stop()` that ends by itself, when the request under way has ended; a closed connection ends it at once.
    func start() throws(SystemError) { try OwnedThread(name: "stream watch") { self.run() }.detach() }

    private func run() {
        var memory = Memory()
        while !isOver.load(ordering: .acquiring) {
            look(&memory)
            wake.wait(timeout: Self.interval)
        }
    }

    /// From any thread.
    func stop() {
        isOver.store(true, ordering: .releasing)
        wake.signal()
    }

    private func look(_ memory: inout Memory) {
        guard connection.isConnected else { return }
        do throws(JetStreamError) {
            guard let info = try connection.streamInfo(configuration.stream.name, timeout: Self.answerTime) else { return }
            var facts = StreamFacts(info, at: .now)
            let standings = try consumers(of: info, &memory)
            if let standings {
                facts.consumers = StreamFacts.told(standings.all, first: configuration.consumer?.name)
                facts.consumerCount = standings.totalCount
            }
            if memory.lookCount == 0 { try readLastStop() }
            try countMarkers(&memory)
            facts.markerCounts = memory.markerCounts
            memory.lookCount += 1
            // Whoever stands by now does not tell of a stream that is another's to look at.
            guard !isOver.load(ordering: .acquiring) else { return }
            observations.texts.withLock { [facts] in $0.streamFacts = facts }
            if let standings { tell(standings.all, &memory) }
        } catch {
            // Whoever publishes finds out what it means.
            logger.debug("the stream could not be looked at", metadata: ["error": "\(error)"])
        }
    }

    /// How the durable consumers stand; nil: that may not be asked.
    private func consumers(
        of info: StreamInfo, _ memory: inout Memory
    ) throws(JetStreamError) -> (all: [ConsumerStanding], totalCount: Int)? {
        guard !memory.isListDenied else { return nil }
        let page: (consumers: [ConsumerInfo], totalCount: Int)
        do throws(JetStreamError) {
            page = try connection.consumers(info.config.name, timeout: Self.answerTime)
        } catch {
            guard case .permission = error else { throw error }
            memory.isListDenied = true
            return nil
        }
        return (try ConsumerStanding.read(page.consumers, of: info, over: connection, timeout: Self.answerTime), page.totalCount)
    }

    /// Why a streamer of this slot stopped before, whatever has happened since.
    private func readLastStop() throws(JetStreamError) {
        let entry = try connection.bucketGet(
            CheckpointRecord.bucket, key: LastStop.key(of: configuration.stream.name), timeout: Self.answerTime)
        guard case .value(let json, _) = entry, let stop = LastStop(json: json), stop.slot == configuration.source.slot else { return }
        observations.texts.withLock { $0.lastStop = stop }
    }

    /// Counts the markers now and then: older servers look through all that they hold for it, and are not asked.
    private func countMarkers(_ memory: inout Memory) throws(JetStreamError) {
        guard memory.lookCount % Self.markerInterval == 0,
            let version = connection.serverVersion.flatMap({ ServerVersion($0) }), version >= ServerVersion(2, 10, 0)
        else { return }
        let counts = try connection.subjects(
            configuration.stream.name, matching: "\(configuration.capture.subjectPrefix).\(ReservedEntity.name).>", timeout: Self.answerTime
        ).counts
        var markers = Dictionary(uniqueKeysWithValues: ReservedEntity.operations.map { ($0, UInt64(0)) })
        for (subject, count) in counts {
            // What else stands there is no marker of ours.
            guard let kind = subject.split(separator: ".").last.map(String.init), let known = markers[kind] else { continue }
            markers[kind] = known + count
        }
        memory.markerCounts = markers
    }

    /// Tells of each consumer that has come near to losing something, once until it was safe again.
    private func tell(_ standings: [ConsumerStanding], _ memory: inout Memory) {
        for standing in standings where standing.isNearEviction && memory.endangered.insert(standing.name).inserted {
            let finding = Finding.consumerNearEviction(standing, of: configuration.stream.name)
            logger.warning(
                "\(finding.message)",
                metadata: finding.fields.merging([
                    "why": "\(finding.why)", "consumer": "\(standing.name)", "unread": .stringConvertible(standing.unreadCount),
                    "ack_floor": .stringConvertible(standing.ackFloorSequence),
                ]) { first, _ in first })
        }
        let safe = standings.filter { ($0.retentionLeft ?? 1) >= Self.safeShare }.map(\.name)
        let gone = memory.endangered.subtracting(standings.map(\.name))
        memory.endangered.subtract(gone)
        for name in memory.endangered.intersection(safe) {
            memory.endangered.remove(name)
            logger.notice("the stream is not about to remove what the consumer has not read any more", metadata: ["consumer": "\(name)"])
        }
    }
}
