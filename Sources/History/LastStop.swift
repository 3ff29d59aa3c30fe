#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why a streamer stopped for good, kept beside its checkpoint record so that it outlives the process and its log.
///
/// It has a key of its own in the record's bucket: no compare-and-set is about it, and no version before it reads it. Nothing hangs on it: it is shown, and no more. A record put later
/// supersedes it.
package struct LastStop: Codable, Sendable, Equatable {
    package static let currentSchema = "slotstream.last_stop/1"

    package var schema = LastStop.currentSchema
    package var slot: String
    /// The reason's stable name.
    package var reason: String
    package var exitCode: Int32
    /// RFC 3339.
    package var at: String
    package var message: String
    package var remedy: String
    /// What was stored in the last minute before it; nil: nobody knows.
    package var eventsPerSecond: Double?
    package var version: String

    package init(
        slot: String, reason: StopReason, at: String, message: String, remedy: String, eventsPerSecond: Double?, version: String
    ) {
        self.slot = slot
        self.reason = reason.rawValue
        exitCode = reason.exitCode.rawValue
        self.at = at
        self.message = ShownText.line(message)
        self.remedy = ShownText.line(remedy)
        self.eventsPerSecond = eventsPerSecond
        self.version = version
    }

    /// Its key in the bucket of the records: no stream has a name with a dot in it.
    package static func key(of stream: String) -> String { "\(stream).last_stop" }

    /// nil: somebody else's, or a later version's.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let read = try? decoder.decode(LastStop.self, from: Data(json)), read.schema == Self.currentSchema else { return nil }
        self = read
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
