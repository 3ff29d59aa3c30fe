#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The body of a marker behind a hole, as consumers read it: what was missing, and follows it as late events. Sequences are the stream's.
struct HoleMarker: Codable {
    struct Deleted: Codable {
        var fromSequence: UInt64
        var toSequence: UInt64
    }

    struct Hole: Codable {
        /// Message ids, in their order; the first ones where there are very many.
        var missing: [String]
        var missingCount: Int
        /// The message of somebody else before them.
        var stray: Stray?
        /// Messages that were deleted before anybody knew what they were.
        var deleted: Deleted?
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

    /// Whether an earlier run's marker, by its body, names all of these.
    static func names(_ ids: [String], in body: [UInt8]) -> Bool {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let marker = try? decoder.decode(HoleMarker.self, from: Data(body)) else { return false }
        return Set(ids).isSubset(of: marker.hole.missing)
    }

    func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
