import Capture
import PGOutput
import WAL

/// A decoder and an assembler, fed with messages as one connection would, and what came out of them.
struct Rig: ~Copyable {
    static let identity = SourceIdentity(systemID: 7_439_120_938_471_029_384, databaseOID: 5, databaseName: "shop")

    private(set) var sink = RecordingSink()
    private(set) var actions: [TransactionAssembler.Action] = []
    private var decoder = PGOutputDecoder()
    var assembler: TransactionAssembler
    /// What the catalogue answers when it is asked.
    var catalogue: Catalogue
    /// What was asked so far, and how many events had been handed on then.
    private(set) var asked: [(question: CatalogueQuestion, eventCount: Int)] = []

    init(
        _ configuration: CaptureConfiguration = CaptureConfiguration(), catalogue: Catalogue = Catalogue(),
        timelines: TimelineHistory = TimelineHistory(currentTimeline: 1), payloadLimit: Int = 1_048_576,
        watermark: Position? = nil, proof: HistoryProof? = nil, skips: [AcceptedSkip] = [],
        functions: CaptureFunctions = .cryptographic
    ) throws {
        assembler = try TransactionAssembler(
            configuration: configuration, functions: functions, identity: Self.identity, timelines: timelines,
            payloadLimit: payloadLimit,
            watermark: watermark, proof: proof, skips: skips)
        self.catalogue = catalogue
    }

    var events: [RecordedEvent] { sink.events }

    mutating func receive(_ message: [UInt8], sendTime: PostgresTimestamp = PostgresTimestamp(0)) throws {
        let bytes = message.span.bytes
        let decoded = try decoder.decode(bytes)
        while true {
            let action = try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: sendTime, into: &sink)
            guard action == .asks, let question = assembler.question else {
                actions.append(action)
                return
            }
            asked.append((question, sink.events.count))
            assembler.answer(catalogue.answer(to: question))
        }
    }

    mutating func receive(_ messages: [[UInt8]]) throws {
        for message in messages { try receive(message) }
    }
}

/// What a database's catalogue holds of types and tables.
struct Catalogue {
    var types: [UInt32: TypeRow] = [:]
    var tables: [RelationID: TableFacts] = [:]
    /// By the value's text.
    var casts: [String: CastAnswer] = [:]

    func answer(to question: CatalogueQuestion) -> CatalogueAnswer {
        switch question {
        case .description(of: let relation, _):
            .description(
                TableDescription(
                    types: known(of: relation.columns.map(\.typeOID)), facts: tables[relation.id] ?? TableFacts()))
        case .types(_, let typeOIDs): .types(known(of: typeOIDs))
        case .casts(let requests): .casts(requests.map { casts[$0.text] ?? .unknown })
        }
    }

    private func known(of typeOIDs: [UInt32]) -> TypeCatalogue {
        var known = TypeCatalogue()
        while true {
            let missing = known.missing(typeOIDs)
            if missing.isEmpty { return known }
            for oid in missing {
                if let row = types[oid] { known.insert(row) } else { known.insertUnknown(oid) }
            }
        }
    }
}

/// What a configuration makes of messages: the events, and the error that ended it.
struct Outcome {
    var events: [RecordedEvent] = []
    var actions: [TransactionAssembler.Action] = []
    var error: CaptureError?

    init(
        of messages: [[UInt8]], _ configuration: CaptureConfiguration = CaptureConfiguration(),
        catalogue: Catalogue = Catalogue(), payloadLimit: Int = 1_048_576, watermark: Position? = nil,
        proof: HistoryProof? = nil, skips: [AcceptedSkip] = [], functions: CaptureFunctions = .cryptographic
    ) throws {
        var rig = try Rig(
            configuration, catalogue: catalogue, payloadLimit: payloadLimit, watermark: watermark, proof: proof,
            skips: skips, functions: functions)
        do {
            try rig.receive(messages)
        } catch let error as CaptureError {
            self.error = error
        }
        events = rig.events
        actions = rig.actions
    }
}
