import Capture

/// The body of a marker behind a hole, as consumers read it: what was missing, and follows it as late events. Sequences are the stream's.
struct HoleMarker: Encodable {
    struct Stray: Encodable {
        var sequence: UInt64
        var subject: String
    }

    struct Hole: Encodable {
        /// Message ids, in their order; the first ones where there are very many.
        var missing: [String]
        var missingCount: Int
        /// The message of somebody else before them.
        var stray: Stray?
        /// Sequences of messages whose ids look like ours and are none.
        var forged: [UInt64]?
        var acceptedBy: String
    }

    /// Ids in one marker: they fit a message of 1 MiB.
    static let missingLimit = 8_000
    /// The last token of its subject.
    static let token = "HOLE"

    var id: String
    var operation = HoleMarker.token
    var timestamp: String
    var hole: Hole

    func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }

    /// The body of an event that is stored late: as ever, and its own id.
    static func lateBody(_ payload: [UInt8], original: MessageID) -> [UInt8] {
        guard payload.last == UInt8(ascii: "}") else { return payload }
        return payload.dropLast() + Array(",\"late\":{\"id\":\"\(original)\"}}".utf8)
    }
}
