import Capture
import History
import JetStreamPublishing
import SeededRandom
import Threads
import WAL

@testable import Pipeline

/// A stream, a writer, what its predecessors still have on their way, and somebody else who publishes: a schedule of them, in memory, by a seed.
///
/// The writer goes by `PublishChain` and `StreamComparison`, as `ChainedPublisher` does; JetStream looks at numbers, and where it still remembers, at ids.
struct ChainModel {
    /// What a resynchronisation believes.
    enum Rule {
        /// Each message of ours is exactly the event that follows.
        case exact
        /// Whatever is ours and later than what came before is believed, and all before it.
        case presentOursRising
    }

    enum Ending: Hashable {
        /// Every event is stored once, in order.
        case whole
        /// It stopped, with nothing proven beyond what is stored in order.
        case stopped
        /// It believed what is not so.
        case silent(String)
    }

    static let eventCount = 40
    private static let inFlightLimit = 8
    private static let identity = SourceIdentity(systemID: 7, databaseOID: 5, databaseName: "d")
    private static let timelines = TimelineHistory(currentTimeline: 1)

    private struct Message {
        /// nil: somebody else's.
        var event: Int?
        var expected: UInt64?
    }

    /// What was handed to a connection and has not arrived, and what arrived and was not answered.
    private struct Connection {
        var onTheWay: [(token: UInt64, message: Message)] = []
    }

    private var random: SplitMix64
    private let rule: Rule
    private let remembersIDs: Bool
    /// Strays in a thousand turns.
    private let strayWeight: Int
    private var stream: [Message] = []
    private var predecessors: [Connection] = []
    private var connection = Connection()
    private var answers: [(token: UInt64, isStored: Bool)] = []

    // The writer's.
    private var known = KnownEnd(storedSequence: 0, storedID: nil, created: "")
    /// The record: as far as it was put.
    private var recorded = KnownEnd(storedSequence: 0, storedID: nil, created: "")
    private var chain = PublishChain(lastSequence: 0)
    private var provenCount = 0
    private var recordedCount = 0
    private var nextEvent = 0
    private var isTroubled = true

    init(seed: UInt64, rule: Rule) {
        random = SplitMix64(seed: seed)
        self.rule = rule
        remembersIDs = Bool.random(using: &random)
        strayWeight = [1, 3, 30].randomElement(using: &random) ?? 1
    }

    private static func id(_ event: Int) -> MessageID {
        MessageID(
            systemID: 7, databaseOID: 5, timeline: 1, transactionID: TransactionID(UInt32(event + 3)),
            position: Position(commitLSN: LSN(0x1000 + 16 * UInt64(event)), ordinal: 1))
    }

    /// Runs the schedule to its end.
    mutating func run() -> Ending {
        var turns = 0
        while provenCount < Self.eventCount {
            turns += 1
            guard turns < 20_000 else { return .silent("no progress") }
            switch Int.random(in: 0..<1_000, using: &random) {
            case 0..<strayWeight: store(Message(event: nil, expected: nil))
            case 30..<33: crash()
            case 33..<36: disconnect()
            case 40..<70: deliverOfPredecessors()
            case 70..<550: deliver()
            case 550..<750: if !isTroubled { publish() }
            case 750..<753: if !answers.isEmpty { answers.removeFirst(); isTroubled = true }
            case 760..<800: if !isTroubled { (recorded, recordedCount) = (known, provenCount) }
            default: takeAnswers()
            }
            if isTroubled, connection.onTheWay.isEmpty, Bool.random(using: &random) {
                answers.removeAll()
                guard resynchronise() else { return checked(.stopped) }
            }
        }
        return checked(.whole)
    }

    // MARK: - The server

    @discardableResult private mutating func store(_ message: Message) -> Bool {
        if let event = message.event {
            if let expected = message.expected, expected != UInt64(stream.count) { return false }
            if remembersIDs, stream.contains(where: { $0.event == event }) { return false }
        }
        stream.append(message)
        return true
    }

    private mutating func deliver() {
        guard !connection.onTheWay.isEmpty else { return }
        let (token, message) = connection.onTheWay.removeFirst()
        answers.append((token, store(message)))
    }

    private mutating func deliverOfPredecessors() {
        guard let index = predecessors.indices.randomElement(using: &random) else { return }
        _ = store(predecessors[index].onTheWay.removeFirst().message)
        if predecessors[index].onTheWay.isEmpty { predecessors.remove(at: index) }
    }

    // MARK: - The writer

    private mutating func publish() {
        guard nextEvent < Self.eventCount, chain.inFlightCount < Self.inFlightLimit else { return }
        connection.onTheWay.append(
            (chain.nextToken, Message(event: nextEvent, expected: chain.nextToken - 1)))
        chain.accepted(at: Instant(nanoseconds: 1))
        nextEvent += 1
    }

    private mutating func takeAnswers() {
        for answer in answers where !isTroubled {
            if answer.isStored, let count = try? chain.stored(answer.token...answer.token) {
                provenCount += count
                if count > 0 {
                    known = KnownEnd(
                        storedSequence: chain.firstInFlightToken - 1, storedID: Self.id(provenCount - 1), created: "")
                }
            } else {
                isTroubled = true
            }
        }
        answers.removeAll()
    }

    /// What is on its way stays so, unanswered: it may arrive whenever.
    private mutating func disconnect() {
        if !connection.onTheWay.isEmpty { predecessors.append(connection) }
        connection = Connection()
        answers.removeAll()
        isTroubled = true
    }

    private mutating func crash() {
        disconnect()
        (known, provenCount) = (recorded, recordedCount)
    }

    /// Reads what stands behind what is proven; false: it stops.
    private mutating func resynchronise() -> Bool {
        var comparison = StreamComparison(known, identity: Self.identity, timelines: Self.timelines)
        let end = UInt64(stream.count)
        do throws(StreamComparison.Fault) {
            for sequence in stride(from: max(1, known.storedSequence), through: end, by: 1) where sequence > 0 {
                let message = stream[Int(sequence) - 1]
                if sequence <= known.storedSequence, known.storedID == nil { continue }
                _ = try comparison.read(sequence, message.event.map { Self.id($0) }, subject: "x")
            }
            try comparison.readAll(through: end, firstSequence: 1)
        } catch {
            return false
        }
        switch rule {
        case .exact:
            var stored = known.storedSequence
            while comparison.next != nil, provenCount < Self.eventCount {
                let id = Self.id(provenCount)
                guard case .stored(let sequence)? = comparison.decoded(id.order, id.transactionID) else { return false }
                stored = sequence
                provenCount += 1
            }
            known.storedSequence = stored
        case .presentOursRising:
            if let last = stream.indices.last(where: { stream[$0].event != nil }), let event = stream[last].event,
                event >= provenCount
            {
                provenCount = event + 1
                known.storedSequence = UInt64(last) + 1
            }
        }
        known = KnownEnd(
            storedSequence: known.storedSequence, storedID: provenCount > 0 ? Self.id(provenCount - 1) : nil,
            settledSequence: end, created: "")
        nextEvent = provenCount
        chain = PublishChain(lastSequence: end)
        isTroubled = false
        return true
    }

    // MARK: - The judge

    /// What is proven must be stored, each event once and in order; an echo of an old one changes nothing.
    private func checked(_ ending: Ending) -> Ending {
        var stored: [Int] = []
        for case let event? in stream.map(\.event) where !stored.contains(event) { stored.append(event) }
        let doubled = stream.compactMap(\.event).count != stored.count
        let proven = Array(stored.prefix(provenCount))
        if proven != Array(0..<provenCount) { return .silent("proven are \(provenCount), stored is \(stored)") }
        // What was proven is in its place for ever: late arrivals may double it only where JetStream has forgotten it.
        if doubled, remembersIDs { return .silent("doubled: \(stream.map(\.event))") }
        return ending
    }
}
