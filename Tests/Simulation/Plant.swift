import WAL

/// A fault that is planted between the program and the models: together they behave as an older or plainer rule would have it. The oracle must find each.
///
/// Each was a rule here once, or is one of another system.
enum Plant: String, CaseIterable {
    /// Nothing is planted.
    case none
    /// A `duplicate` counts as stored.
    case duplicateIsStored = "duplicate-is-stored"
    /// The stream's name in an ack is not looked at.
    case anyStreamCounts = "any-stream-counts"
    /// What is received is confirmed.
    case confirmsReceived = "confirms-received"
    /// The confirmed position is a byte behind the transaction's end.
    case confirmsOneByteMore = "confirms-one-byte-more"
    /// A keepalive's position is confirmed at once, whatever is pending.
    case confirmsKeepalives = "confirms-keepalives"
    /// PostgreSQL is told before the record is put (design: checkpoint record).
    case confirmsBeforeRecord = "confirms-before-record"
    /// Messages carry no `Nats-Expected-Last-Sequence`: only the duplicate window stands against sending twice.
    case windowOnly = "window-only"
    /// The record is put without its revision: a zombie's late put wins.
    case putsBlindly = "puts-blindly"
    /// An answer that refuses the record counts as a put.
    case putIsBelieved = "put-is-believed"
    /// An old leader is believed at once.
    case believesOldLeader = "believes-old-leader"
    /// The newest event in the stream is the watermark: the comparison at the start is skipped (design: comparison).
    case newestIsWatermark = "newest-is-watermark"
    /// The last message of ours in the stream is the watermark, even one that was stored again (design: echo).
    case echoIsWatermark = "echo-is-watermark"
    /// "Present, ours, ids rising" is enough: what a stray stands for is believed to be ours.
    case strayIsOurs = "stray-is-ours"
    /// Decoding begins behind the transaction that is stored in part.
    case beginsBehind = "begins-behind"
    /// Where a message outside transactions is the last, decoding begins at its own LSN (design: recovery).
    case beginsAtMessage = "begins-at-message"
    /// The server need not prove that its history is the stream's (design: S ≤ w).
    case noProof = "no-proof"
    /// The proven message is not looked at: a tail that was lost and refilled is believed.
    case provenUnseen = "proven-unseen"
    /// The record's position is confirmed at the start, whatever the server has (design: recovery).
    case confirmsRecord = "confirms-record"

    // MARK: - What is rewritten on its way

    func rewrites(_ reply: ModelLink.Reply, isRecord: Bool) -> ModelLink.Reply {
        var reply = reply
        switch (self, reply.answer) {
        case (.duplicateIsStored, .duplicate) where !isRecord, (.anyStreamCounts, .otherStream) where !isRecord:
            reply.answer = .stored(reply.token)
        case (.putIsBelieved, .wrongSequence(let revision)) where isRecord: reply.answer = .stored(revision)
        default: break
        }
        return reply
    }

    /// The position that PostgreSQL is told; 0: none.
    func flushed(_ flushed: UInt64, written: UInt64, by process: Process) -> UInt64 {
        switch self {
        case .confirmsReceived: written
        case .confirmsOneByteMore: flushed > 0 ? flushed + 1 : 0
        case .confirmsKeepalives: max(flushed, process.keepaliveLSN)
        case .confirmsBeforeRecord: process.confirmable?() ?? flushed
        default: flushed
        }
    }

    func expects(_ sequence: UInt64) -> UInt64? { self == .windowOnly ? nil : sequence }

    func expects(revision: UInt64) -> UInt64? { self == .putsBlindly ? nil : revision }

    func isReplicated(_ version: ModelJetStream.Version) -> Bool { version.isReplicated && self != .believesOldLeader }

    /// The change that a message is told to be of.
    func number(of message: ModelJetStream.Stored, at sequence: UInt64, in state: ModelJetStream.State, _ world: World) -> Int? {
        switch self {
        case .strayIsOurs:
            guard message.number == nil, let next = state.message(sequence + 1)?.number,
                let index = world.server.history.firstIndex(of: next), index > 0
            else { return message.number }
            let before = world.server.history[index - 1]
            return world.changes[before].sequences.isEmpty ? before : nil
        default: return message.number
        }
    }

    /// The same of one that is asked for by its sequence.
    func number(asked message: ModelJetStream.Stored, at sequence: UInt64, _ world: World) -> Int? {
        self == .provenUnseen ? world.jetStream.firstNumber(at: sequence) ?? message.number : message.number
    }
}
