/// What stands behind the position in the id of a message of a backfill: which run's it is, its number in that, and where the walk over a table stood behind it.
///
/// Written `<run>.<count>.<table oid>.<filenode>.<block>.<offset>`. A run's numbers rise by one from 1, over rows and markers alike; so the ids that stand behind one position rise
/// too, by run and number.
public struct BackfillPlace: Hashable, Sendable {
    /// The run's own number; a later run has a greater one.
    public var run: UInt64
    public var count: UInt64
    /// Of the table that is walked, a partition by itself; 0 in the markers that begin and end a run.
    public var tableOID: UInt32
    /// The file in which its rows stood.
    public var filenode: UInt32
    /// The row's `ctid`, or the last one that the walk came to before a message that moves it no further.
    public var block: UInt32
    public var offset: UInt16

    public init(run: UInt64, count: UInt64, tableOID: UInt32 = 0, filenode: UInt32 = 0, block: UInt32 = 0, offset: UInt16 = 0) {
        self.run = run
        self.count = count
        self.tableOID = tableOID
        self.filenode = filenode
        self.block = block
        self.offset = offset
    }
}

extension BackfillPlace: LosslessStringConvertible {
    public var description: String { "\(run).\(count).\(tableOID).\(filenode).\(block).\(offset)" }

    /// Reads exactly what `description` writes.
    public init?(_ text: String) {
        // The reader of ids knows how numbers are written; any position will do.
        guard let id = MessageID("1.1.1.1.0000000000000001.1.b.\(text)"), case .backfilled(let place) = id.kind else { return nil }
        self = place
    }
}

extension BackfillPlace: Codable {
    /// As a text.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let place = BackfillPlace(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no place of a backfill")
        }
        self = place
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
