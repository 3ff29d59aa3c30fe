import Capture
import History
import JetStreamPublishing
import WAL

/// What the stream's own messages prove of backfills, whatever else they are compared with.
extension PastComparison {
    /// Goes on behind a message, and looks at what it proves of backfills.
    func advance(_ cursor: inout StreamCursor, past message: StreamCursor.Message) throws(StreamerError) {
        cursor.advance()
        guard let id = message.id, let text = message.idText else { return }
        switch id.kind {
        case .event: note(backfills?.event(id, sequence: message.sequence, subject: message.subject).map { [$0] } ?? [])
        case .backfilled:
            if let sequence = backfills?.sequence(beforeNumbersMissingBefore: id) {
                try stored.lookAgain()
                if stored.firstSequence > sequence + 1 { note(backfills?.forget() ?? []) }
            }
            let message = message
            note(
                backfills?.take(
                    BackfillProof.Message(sequence: message.sequence, subject: message.subject, id: id, idText: text), body: { message.payload }) ?? [])
        case .marker, .late, .replayed: break
        }
    }

    /// All was read.
    func finish() {
        note(backfills?.finish() ?? [])
        outcome.read = backfills?.rowCount ?? 0
    }

    private func note(_ faults: [BackfillProof.Fault]) {
        for fault in faults {
            note(
                Verification.Difference(
                    kind: .backfill, id: fault.id, lsn: fault.position.commitLSN, sequence: fault.sequence, subject: fault.subject,
                    expected: fault.expected, stored: fault.found))
        }
    }
}
