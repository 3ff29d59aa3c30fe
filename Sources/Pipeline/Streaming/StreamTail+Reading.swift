import Capture
import History
import JetStreamPublishing

extension StreamTail {
    /// Reads it.
    /// - Returns: nil if there is no such stream.
    /// - Throws: what the connection throws; `.malformedResponse` for a sequence that no stream can have reached.
    static func read(_ stream: String, over connection: some StreamReader) throws(JetStreamError) -> StreamTail? {
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
            // A stream that only begins later tells the sequence before its first as its last.
            message = lastSequence == 0 || lastSequence + 1 == info.config.firstSequence ? .never : .gone
        }
        return StreamTail(
            lastSequence: lastSequence, message: message, messageCount: info.state.messages,
            commitTimestamp: last.flatMap { $0.sequence == lastSequence ? commitTimestamp(in: $0.payload) : nil },
            created: info.created,
            leader: info.cluster?.leader, replicaCount: info.config.replicas,
            isMajorityCurrent: info.cluster?.hasCurrentMajority ?? true)
    }
}
