import History

/// What a streamer did in the last hour: samples at even intervals, as columns. The object of `GET /recent`, beside what happened last.
package struct RecentActivity: Encodable, Sendable {
    /// An event that was stored.
    package struct StoredEvent: Encodable, Sendable {
        var entity: String
        var operation: String
        /// Its position; no value of a row.
        var id: String
        var sequence: UInt64
        var committedAt: String
    }

    /// An error, with how often it came in a row.
    package struct Trouble: Encodable, Sendable, Equatable {
        /// Bytes of a message that are kept.
        static let messageByteLimit = 1024

        var reason: String
        /// When it came last.
        var at: String
        var message: String
        var count: Int

        init(_ error: StreamerStatus.LastError) {
            reason = error.reason
            at = error.at
            message = String(decoding: error.message.utf8.prefix(Self.messageByteLimit), as: UTF8.self)
            count = 1
        }
    }

    var schema = "slotstream.recent/1"
    /// When the newest sample was taken; nil: there is none.
    var at: String?
    var intervalSeconds: Double
    /// Oldest first, nil for what was not known then; so are all columns.
    var lagSeconds: [Double?]
    var lagBytes: [UInt64?]
    var retainedBytes: [UInt64?]
    var eventsPerSecond: [Double]
    var storedP99Seconds: [Double?]
    /// Newest first: the last event of each of the latest acknowledgements.
    var events: [StoredEvent]
    /// Newest first.
    var errors: [Trouble]
    /// Why a streamer before this one stopped for good; nil: none did, or that is not known.
    var lastStop: StreamerStatus.LastError?

    /// One JSON object on one line.
    package func json() -> String { ContractJSON.text(self) }
}
