package import Capture
package import JetStreamPublishing
package import WAL

/// The end of the stream as its leader tells it: how far whatever was published is stored.
package struct StreamTail: Equatable, Sendable {
    /// What stands at the stream's last sequence.
    package enum Message: Equatable, Sendable {
        /// Nothing was ever stored, wherever its sequences begin (`first_seq`).
        case never
        /// It was deleted, purged or aged out; the sequence remains.
        case gone
        /// An event, and whether it is its transaction's last; nil: its format does not tell.
        case event(MessageID, isLast: Bool?)
        /// No message of ours.
        case foreign(subject: String)
    }

    package var lastSequence: UInt64
    package var message: Message
    /// Messages that are there.
    package var messageCount: UInt64 = 0
    /// Of the last message's transaction, where the message tells: an event of a row or table.
    package var commitTimestamp: PostgresTimestamp?
    /// The stream's creation time: another one is another stream.
    package var created: String
    package var leader: String?
    package var replicaCount: Int
    /// Whether a majority of the replicas was current when it was read.
    package var isMajorityCurrent: Bool

    package init(
        lastSequence: UInt64, message: Message, messageCount: UInt64 = 0, commitTimestamp: PostgresTimestamp? = nil,
        created: String, leader: String? = nil, replicaCount: Int, isMajorityCurrent: Bool
    ) {
        self.lastSequence = lastSequence
        self.message = message
        self.messageCount = messageCount
        self.commitTimestamp = commitTimestamp
        self.created = created
        self.leader = leader
        self.replicaCount = replicaCount
        self.isMajorityCurrent = isMajorityCurrent
    }

    /// What a message is.
    package static func read(_ message: StoredMessage) -> Message {
        guard let id = message.messageID.flatMap({ MessageID($0) }) else {
            return .foreign(subject: message.subject)
        }
        // What is stored behind an event, under its position, may stand inside its transaction.
        if id.kind != .event { return .event(id, isLast: id.position.ordinal == 0 ? true : nil) }
        return .event(id, isLast: isLast(message.payload))
    }

    /// Reads `transaction.last` from an event of ours: it stands where the encoder puts it, before `source`. FraiseQL's format has none: nil.
    package static func isLast(_ payload: [UInt8]) -> Bool? {
        if payload[...].hasSuffix("\"cdc_source\":\"slotstream\"}") { return nil }
        // The last occurrence: a value that holds this text stands before it.
        guard let end = payload[...].end(ofLast: "\"last\":") else { return false }
        return payload[end...].starts(with: "true".utf8)
    }

    /// Reads the commit's time from an event of a row or table; nil for anything else: a logical message may have a time of its own.
    package static func commitTimestamp(in payload: [UInt8]) -> PostgresTimestamp? {
        // The last `source` and the first `timestamp`: what values hold stands between them.
        guard let source = payload[...].end(ofLast: "},\"source\":{\"database\":\""),
            payload[source...].end(ofLast: "\",\"schema\":\"") != nil,
            let start = payload[...].end(ofFirst: "\"timestamp\":\"")
        else { return nil }
        return PostgresTimestamp(String(decoding: payload[start...].prefix { $0 != UInt8(ascii: "\"") }, as: UTF8.self))
    }
}

extension ArraySlice<UInt8> {
    fileprivate func hasSuffix(_ text: String) -> Bool {
        suffix(text.utf8.count).elementsEqual(text.utf8)
    }

    /// The index behind the first place where `text` stands.
    fileprivate func end(ofFirst text: String) -> Int? {
        indices.first { self[$0...].starts(with: text.utf8) }.map { $0 + text.utf8.count }
    }

    /// The index behind the last place where `text` stands.
    fileprivate func end(ofLast text: String) -> Int? {
        indices.last { self[$0...].starts(with: text.utf8) }.map { $0 + text.utf8.count }
    }
}
