#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// One run that somebody has asked for, as the command puts it beside the checkpoint record. The streamer carries it out, and writes how it goes into the record.
package struct BackfillRequest: Codable, Equatable, Sendable {
    /// What is wanted of a run now.
    package enum Wish: String, Codable, Sendable {
        case run, pause, cancel
    }

    /// What `operation` may be: an event of its own, or one that consumers know who know nothing of backfills.
    package static let operations = ["READ", "INSERT"]

    /// Its number: the events' `backfill.id`, and a part of their message ids.
    package var run: UInt64
    /// Patterns of published tables, as in `source.tables`.
    package var tables: [String]
    /// SQL: of these rows only; absent: all.
    package var condition: String?
    package var operation: String
    /// Rows a second at most; absent: no limit.
    package var rate: Int?
    /// It rests while the live stream is behind by more WAL; absent: it does not.
    package var maxLagBytes: UInt64?
    /// A stream of its own; absent: the live stream.
    package var intoStream: String?
    package var intoPrefix: String?
    package var wish = Wish.run
    /// The stream's creation time, where there was one: one that is made anew under its name has nothing to do with it.
    package var streamCreated: String?
    /// RFC 3339.
    package var requestedAt: String
    package var requestedBy: String

    package init(
        run: UInt64, tables: [String], condition: String? = nil, operation: String = "READ", rate: Int? = nil, maxLagBytes: UInt64? = nil,
        intoStream: String? = nil, intoPrefix: String? = nil, requestedAt: String, requestedBy: String
    ) {
        self.run = run
        self.tables = tables
        self.condition = condition
        self.operation = operation
        self.rate = rate
        self.maxLagBytes = maxLagBytes
        self.intoStream = intoStream
        self.intoPrefix = intoPrefix
        self.requestedAt = requestedAt
        self.requestedBy = requestedBy
    }
}

/// All that was asked for, oldest first, under a key of its own in the record's bucket; changed by compare-and-set only.
package struct BackfillRequests: Codable, Equatable, Sendable {
    package static let currentSchema = "slotstream.backfill_requests/1"

    package var schema = BackfillRequests.currentSchema
    package var requests: [BackfillRequest]

    package init(requests: [BackfillRequest] = []) { self.requests = requests }

    /// Its key: no stream has a name with a dot in it.
    package static func key(of stream: String) -> String { "\(stream).backfill" }

    /// nil: somebody else's, or a later version's.
    package init?(json: [UInt8]) {
        let decoder = JSONDecoder()
        decoder.keyDecodingStrategy = .convertFromSnakeCase
        guard let read = try? decoder.decode(BackfillRequests.self, from: Data(json)), read.schema == Self.currentSchema else { return nil }
        self = read
    }

    package func json() -> [UInt8] { Array(ContractJSON.text(self).utf8) }
}
