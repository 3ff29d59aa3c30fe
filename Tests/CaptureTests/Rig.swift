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
    private let authority: StubAuthority

    init(
        _ configuration: CaptureConfiguration = CaptureConfiguration(), catalogue: Catalogue = Catalogue(),
        timelines: TimelineHistory = TimelineHistory(currentTimeline: 1), payloadLimit: Int = 1_048_576,
        watermark: Position? = nil, proof: HistoryProof? = nil, functions: CaptureFunctions = .cryptographic
    ) throws {
        assembler = try TransactionAssembler(
            configuration: configuration, functions: functions, identity: Self.identity, timelines: timelines,
            payloadLimit: payloadLimit,
            watermark: watermark, proof: proof)
        authority = StubAuthority(catalogue)
        assembler.authority = authority
    }

    var events: [RecordedEvent] { sink.events }

    mutating func receive(_ message: [UInt8], sendTime: PostgresTimestamp = PostgresTimestamp(0)) throws {
        let bytes = message.span.bytes
        let decoded = try decoder.decode(bytes)
        if case .relation(let relation) = decoded { describe(relation) }
        actions.append(
            try assembler.receive(decoded, of: decoder, bytes: bytes, sendTime: sendTime, into: &sink))
    }

    /// The database has been altered.
    func moveCatalogue(to catalogue: Catalogue) { authority.catalogue = catalogue }

    mutating func receive(_ messages: [[UInt8]]) throws {
        for message in messages { try receive(message) }
    }

    /// As `Pipeline` does before it hands on a Relation.
    private mutating func describe(_ relation: Relation) {
        _ = authority.refresh(&assembler.types, of: .none, for: relation.id, relation.columns.map(\.typeOID))
        if assembler.needsFacts(relation) {
            assembler.tableFacts[relation.id] = authority.catalogue.tables[relation.id] ?? TableFacts()
        }
    }
}

/// Answers what a database would be asked, from what it was given beforehand.
final class StubAuthority: CatalogueAuthority {
    var catalogue: Catalogue

    init(_ catalogue: Catalogue) { self.catalogue = catalogue }

    func json(of text: String, castFrom typeOID: UInt32) -> CastAnswer { catalogue.casts[text] ?? .unknown }

    func refresh(
        _ types: inout TypeCatalogue, of transactionID: TransactionID, for relationID: RelationID, _ typeOIDs: [UInt32]
    ) -> Bool {
        types.forget(typeOIDs)
        while true {
            let missing = types.missing(typeOIDs)
            if missing.isEmpty { return catalogue.isReachable }
            for oid in missing {
                if let row = catalogue.types[oid] { types.insert(row) } else { types.insertUnknown(oid) }
            }
        }
    }
}

/// What a database's catalogue holds of types and tables.
struct Catalogue {
    var types: [UInt32: TypeRow] = [:]
    var tables: [RelationID: TableFacts] = [:]
    /// By the value's text.
    var casts: [String: CastAnswer] = [:]
    var isReachable = true
}

/// What a configuration makes of messages: the events, and the error that ended it.
struct Outcome {
    var events: [RecordedEvent] = []
    var actions: [TransactionAssembler.Action] = []
    var error: CaptureError?

    init(
        of messages: [[UInt8]], _ configuration: CaptureConfiguration = CaptureConfiguration(),
        catalogue: Catalogue = Catalogue(), payloadLimit: Int = 1_048_576, watermark: Position? = nil,
        proof: HistoryProof? = nil, functions: CaptureFunctions = .cryptographic
    ) throws {
        var rig = try Rig(
            configuration, catalogue: catalogue, payloadLimit: payloadLimit, watermark: watermark, proof: proof,
            functions: functions)
        do {
            try rig.receive(messages)
        } catch let error as CaptureError {
            self.error = error
        }
        events = rig.events
        actions = rig.actions
    }
}
