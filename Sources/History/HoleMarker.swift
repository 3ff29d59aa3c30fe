package import Capture

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The body of a marker behind a hole, as consumers read it: what was missing, and follows it as late events. Sequences are the stream's.
package struct HoleMarker: Codable {
    package struct Deleted: Codable {
        package var fromSequence: UInt64
        package var toSequence: UInt64

        package init(fromSequence: UInt64, toSequence: UInt64) {
            self.fromSequence = fromSequence
            self.toSequence = toSequence
        }
    }

    package struct Hole: Codable {
        /// Message ids, in their order; the first ones where there are very many.
        package var missing: [String]
        package var missingCount: Int
        /// The message of somebody else before them.
        package var stray: Stray?
        /// Messages that were deleted before anybody knew what they were.
        package var deleted: Deleted?
        /// Sequences of messages whose ids look like ours and are none.
        package var forged: [UInt64]?
        package var acceptedBy: String


        package init(

            missing: [String], missingCount: Int, stray: Stray? = nil, deleted: Deleted? = nil,

            forged: [UInt64]? = nil, acceptedBy: String

        ) {

            self.missing = missing

            self.missingCount = missingCount

            self.stray = stray

            self.deleted = deleted

            self.forged = forged

            self.acceptedBy = acceptedBy

        }
    }

    /// Ids in one marker: they fit a message of 1 MiB.
    package static let missingLimit = 8_000
    /// The last token of its subject.
    package static let token = "HOLE"

    package var id: String
    package var operation = HoleMarker.token
    package var timestamp: String
    package var hole: Hole

    package init(id: String, timestamp: String, hole: Hole) {
        self.id = id
        self.timestamp = timestamp
        self.hole = hole
    }

    /// Whether an earlier run's marker, by its body, names all of these.
    package static func names(_ ids: [String], in body: [UInt8]) -> Bool {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let marker = try? decoder.decode(HoleMarker.self, from: Data(body)) else { return false }
        return Set(ids).isSubset(of: marker.hole.missing)
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }

    /// The body of an event that is stored late: as ever, and its own id.
    package static func lateBody(_ payload: [UInt8], original: MessageID) -> [UInt8] {
        guard payload.last == UInt8(ascii: "}") else { return payload }
        return payload.dropLast() + Array(",\"late\":{\"id\":\"\(original)\"}}".utf8)
    }
}
