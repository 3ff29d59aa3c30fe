import Capture
import JetStreamPublishing
import WAL

/// The end of the stream as its leader tells it: how far whatever was published is stored.
struct StreamTail: Equatable, Sendable {
    /// What stands at the stream's last sequence.
    enum Message: Equatable, Sendable {
        /// Nothing was ever stored.
        case never
        /// It was deleted, purged or aged out; the sequence remains.
        case gone
        /// An event, and whether it is its transaction's last; nil: its format does not tell.
        case event(MessageID, isLast: Bool?)
        /// No message of ours.
        case foreign(subject: String)
    }

    var lastSequence: UInt64
    var message: Message
    /// The stream's creation time: another one is another stream.
    var created: String
    var leader: String?
    var replicaCount: Int
    /// Whether a majority of the replicas was current when it was read.
    var isMajorityCurrent: Bool

    /// Reads it.
    /// - Returns: nil if there is no such stream.
    /// - Throws: what the connection throws; `.malformedResponse` for a sequence that no stream can have reached.
    static func read(_ stream: String, over connection: JetStreamConnection) throws(JetStreamError) -> StreamTail? {
        guard let info = try connection.streamInfo(stream) else { return nil }
        let last: StoredMessage?
        do throws(JetStreamError) {
            last = try connection.lastMessage(stream)
        } catch {
            if error.errCode == JetStreamErrorCode.streamNotFound { return nil }
            throw error
        }
        let lastSequence = max(info.state.lastSequence, last?.sequence ?? 0)
        // Half of all sequences are control tokens.
        guard lastSequence < AckMailbox.controlBit else {
            throw .malformedResponse(operation: "the last sequence of stream \(stream)")
        }
        let message: Message
        // A last message before the last sequence is not the one that stood there.
        if let last, last.sequence == lastSequence {
            message = read(last)
        } else {
            message = lastSequence == 0 ? .never : .gone
        }
        return StreamTail(
            lastSequence: lastSequence, message: message, created: info.created,
            leader: info.cluster?.leader, replicaCount: info.config.replicas,
            isMajorityCurrent: info.cluster?.hasCurrentMajority ?? true)
    }

    private static func read(_ message: StoredMessage) -> Message {
        guard let id = message.messageID.flatMap({ MessageID($0) }) else {
            return .foreign(subject: message.subject)
        }
        return .event(id, isLast: id.isGapMarker ? true : isLast(message.payload))
    }

    /// Reads `transaction.last` from an event of ours: it stands where the encoder puts it, before `source`. FraiseQL's format has none: nil.
    static func isLast(_ payload: [UInt8]) -> Bool? {
        let fraiseQLEnd = Array("\"cdc_source\":\"slotstream\"}".utf8)
        if payload.suffix(fraiseQLEnd.count).elementsEqual(fraiseQLEnd) { return nil }
        // The last occurrence: a value that holds this text stands before it.
        let marker = Array("\"last\":".utf8)
        guard payload.count > marker.count else { return false }
        var index = payload.count - marker.count
        while index >= 0 {
            if payload[index..<index + marker.count].elementsEqual(marker) {
                return payload[(index + marker.count)...].starts(with: "true".utf8)
            }
            index -= 1
        }
        return false
    }
}
