package import Capture

/// What is stored of a run, folded from its messages' ids in the order of the stream: whoever reads only headers comes to the same.
package struct BackfillTail: Codable, Equatable, Sendable {
    package let run: UInt64
    /// Of the last message; absent: none is stored.
    package private(set) var last: String?
    /// The table's rows in this pass, those that were read again too.
    package private(set) var rows: UInt64 = 0
    /// Over the ids of those rows; see ``BackfillDigest``.
    package private(set) var digest = BackfillDigest().description
    /// A number is missing among them: a row is perhaps not stored.
    package private(set) var hasHole: Bool?

    package init(run: UInt64) { self.run = run }

    package var place: BackfillPlace? { last.flatMap { BackfillPlace($0) } }
    package var count: UInt64 { place?.count ?? 0 }

    /// A table's pass begins: its rows are counted from here.
    package mutating func passBegan() {
        rows = 0
        digest = BackfillDigest().description
        hasHole = nil
    }

    /// Takes the next message's id; one of another run, or an earlier one, is passed over.
    package mutating func take(_ id: MessageID, isMarker: Bool) {
        guard let place = id.backfillPlace, place.run == run, place.count > count else { return }
        if place.count != count + 1 { hasHole = true }
        last = place.description
        guard !isMarker else { return }
        rows += 1
        var sum = BackfillDigest(digest) ?? BackfillDigest()
        sum.take(id.backfilled(place))
        digest = sum.description
    }
}

/// A table's rows as one number: FNV-1a of 64 bits over the message ids of its rows in the order of the stream, each with a line feed behind it.
package struct BackfillDigest: LosslessStringConvertible, Equatable, Sendable {
    private var value: UInt64 = 0xcbf2_9ce4_8422_2325

    package init() {}

    /// Sixteen hexadecimal digits.
    package init?(_ description: String) {
        guard description.utf8.count == 16, let value = UInt64(description, radix: 16) else { return nil }
        self.value = value
    }

    package var description: String {
        let digits = String(value, radix: 16)
        return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }

    package mutating func take(_ id: String) {
        for byte in id.utf8 { take(byte) }
        take(UInt8(ascii: "\n"))
    }

    private mutating func take(_ byte: UInt8) { value = (value ^ UInt64(byte)) &* 0x100_0000_01b3 }
}
