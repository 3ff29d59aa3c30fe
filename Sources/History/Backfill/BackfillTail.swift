package import Capture

/// What is stored of a run, folded from its messages' ids in the order of the stream: whoever reads only headers comes to the same.
package struct BackfillTail: Codable, Equatable, Sendable {
    package let run: UInt64
    /// Of the last message; absent: none is stored.
    package private(set) var place: BackfillPlace?
    /// Rows since the last marker: those of the pass that is under way.
    package private(set) var rows: UInt64 = 0
    /// Of the tables that are read.
    package private(set) var finishedRows: UInt64 = 0
    /// Over the ids of the pass's.
    package private(set) var digest = BackfillDigest()
    /// A number is missing since the last marker: a row is perhaps not stored. Absent: none is.
    package private(set) var hasHole: Bool?

    package init(run: UInt64) { self.run = run }

    /// Of the last message; 0: none is stored.
    package var count: UInt64 { place?.count ?? 0 }

    /// Takes the next message; one of another run, or an earlier one, is passed over.
    /// - Parameter id: Its bytes.
    package mutating func take(_ next: BackfillPlace, id: Span<UInt8>, isMarker: Bool) {
        guard next.run == run, next.count > count else { return }
        let isNext = next.count == count + 1
        place = next
        if isMarker {
            if next.tableOID > 0, next.block == BackfillMarker.endBlock { finishedRows += rows }
            if next.tableOID == 0, next.block == 0 { finishedRows = 0 }
            rows = 0
            digest = BackfillDigest()
            hasHole = isNext ? nil : true
        } else {
            if !isNext { hasHole = true }
            rows += 1
            digest.take(id)
        }
    }

    /// As above, of an id that was read.
    package mutating func take(_ id: MessageID, isMarker: Bool) {
        guard let place = id.backfillPlace else { return }
        var text = id.backfilled(place)
        text.makeContiguousUTF8()
        take(place, id: text.utf8.span, isMarker: isMarker)
    }
}

/// A table's rows as one number: FNV-1a of 64 bits over the message ids of its rows in the order of the stream, each with a line feed behind it.
package struct BackfillDigest: Equatable, Sendable {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    package mutating func take(_ id: Span<UInt8>) {
        for index in id.indices { take(id[index]) }
        take(UInt8(ascii: "\n"))
    }

    private mutating func take(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
}

extension BackfillDigest: LosslessStringConvertible, Codable {
    /// Sixteen hexadecimal digits.
    package init?(_ description: String) {
        guard description.utf8.count == 16, let value = UInt64(description, radix: 16) else { return nil }
        self.value = value
    }

    package var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let digest = BackfillDigest(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "no digest of a backfill")
        }
        self = digest
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
