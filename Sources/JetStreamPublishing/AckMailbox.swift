import Synchronization

/// Where the acks of a connection are collected until the delivery thread drains them.
///
/// Tokens are the sequence numbers that the messages must get. The good case, an ack from the configured stream with
/// `sequence == token` and no `duplicate`, extends the last ``StoredRange``: but for the first of a range, and the first
/// after a drain, by one atomic exchange, without the lock. Everything else is kept as a ``PublishOutcome``. Tokens with
/// ``controlBit`` are control publishes (the checkpoint record): they are always delivered one by one, whatever epoch it is.
///
/// Of one connection, and filled on one thread (libnats' delivery thread of its inbox); drained on any other.
public final class AckMailbox: Sendable {
    /// The bit that marks a token as one of a control publish.
    public static let controlBit: UInt64 = 1 << 63
    /// How many outcomes, and how many stored runs, are kept between two drains. After a hole everything in flight is
    /// refused; the first refusals are what matters, so this is no more than a bound on memory.
    public static let outcomeLimit = 1_024
    /// How many control outcomes are kept beyond `outcomeLimit`: a flood of refusals must not hide them.
    public static let controlOutcomeLimit = 64

    private struct State {
        var epoch: UInt32 = 0
        var batch = AckBatch()
        var controlOutcomeCount = 0
        var isWakeDue = true
        /// The last fast batch that was heard of.
        var fastBatch: FastBatchProof?
    }

    private let stream: StreamNameMatch
    private let controlStream: StreamNameMatch?
    private let wake: @Sendable () -> Void
    private let state = Mutex(State())
    /// The end of the last stored range as long as it may be extended without the lock, 0 otherwise. Who holds the lock
    /// opens and closes it; who fills the mailbox moves it on, from the very value it read, so that after a close it fails.
    private let openEnd = Atomic<UInt64>(0)
    /// The epoch that the open range belongs to. Written and read by who fills the mailbox.
    private let openEpoch = Atomic<UInt32>(0)

    /// A mailbox for acks of `stream` and, for control publishes, of `controlStream` (nil: any).
    ///
    /// `wake` is called on libnats' thread, without a lock held, at most once between two drains: when the first thing
    /// arrives. It must return at once.
    public init(stream: String, controlStream: String? = nil, wake: @escaping @Sendable () -> Void) {
        self.stream = StreamNameMatch(stream)
        self.controlStream = controlStream.map(StreamNameMatch.init)
        self.wake = wake
    }

    /// Makes `epoch` the one whose acks count. What was not drained of another epoch is dropped and counted as stale,
    /// control outcomes excepted.
    public func beginEpoch(_ epoch: UInt32) {
        state.withLock { state in
            guard state.epoch != epoch else { return }
            closeRange(&state)
            state.epoch = epoch
            state.fastBatch = nil
            let control = state.batch.outcomes.filter(\.isControl)
            let staleCount = state.batch.stored.count + state.batch.outcomes.count - control.count
            state.batch.stored.removeAll(keepingCapacity: true)
            state.batch.outcomes = control
            state.batch.refusal = nil
            state.batch.droppedCount = 0
            state.batch.staleAckCount += staleCount
        }
    }

    /// Moves everything collected into `batch`, whose former contents are dropped.
    public func drain(into batch: inout AckBatch) {
        batch.removeAll()
        state.withLock { state in
            closeRange(&state)
            swap(&state.batch, &batch)
            state.controlOutcomeCount = 0
            state.isWakeDue = true
        }
    }

    /// Reads an ack's body and files it under the token that its reply subject carried.
    package func receive(_ reply: AckReply, body: UnsafeBufferPointer<UInt8>) {
        guard let ack = PubAck(body) else { return post(reply, .malformed(token: reply.token)) }
        if let refusal = ack.refusal {
            note(refusal, body, of: reply)
            return post(
                reply,
                .refused(
                    token: reply.token, errCode: refusal.errCode, code: refusal.code,
                    lastSequence: refusal.lastSequence))
        }
        if reply.isControl {
            if let controlStream, !controlStream.matches(body, ack.stream) {
                return post(reply, .otherStream(token: reply.token))
            }
            if ack.isDuplicate {
                return post(reply, .duplicate(token: reply.token, sequence: ack.sequence))
            }
            return post(reply, .controlStored(token: reply.token, sequence: ack.sequence))
        }
        if !stream.matches(body, ack.stream) {
            post(reply, .otherStream(token: reply.token))
        } else if ack.isDuplicate {
            post(reply, .duplicate(token: reply.token, sequence: ack.sequence))
        } else if ack.sequence != reply.token {
            post(reply, .otherSequence(token: reply.token, sequence: ack.sequence))
        } else if ack.batchCount == 0 || ack.batchCount > reply.token {
            // A batch cannot hold more messages than there are sequences up to its last one.
            post(reply, .malformed(token: reply.token))
        } else {
            // The ack of an atomic batch stands for all its messages; its token is the last one's.
            postStored(reply.epoch, first: reply.token - (ack.batchCount - 1), last: reply.token)
        }
    }

    /// Files an outcome that needed no reading: no responders, or a status without a body.
    package func post(_ reply: AckReply, _ outcome: PublishOutcome) {
        let isFirst = state.withLock { state in
            if reply.isControl {
                if state.controlOutcomeCount < Self.controlOutcomeLimit {
                    state.controlOutcomeCount += 1
                    state.batch.outcomes.append(outcome)
                } else {
                    state.batch.droppedCount += 1
                }
            } else if reply.epoch != state.epoch {
                state.batch.staleAckCount += 1
            } else if state.batch.outcomes.count - state.controlOutcomeCount < Self.outcomeLimit {
                state.batch.outcomes.append(outcome)
            } else {
                state.batch.droppedCount += 1
            }
            defer { state.isWakeDue = false }
            return state.isWakeDue
        }
        if isFirst { wake() }
    }

    /// Keeps JetStream's own words.
    func note(_ refusal: PubAck.Refusal, _ body: UnsafeBufferPointer<UInt8>, of reply: AckReply) {
        guard !reply.isControl else { return }
        state.withLock { state in
            if reply.epoch == state.epoch { state.batch.note(refusal.errCode, body, refusal.description) }
        }
    }

    /// Whether the string at `range` of `body` is the stream's name.
    func matchesStream(_ body: UnsafeBufferPointer<UInt8>, _ range: Range<Int>) -> Bool { stream.matches(body, range) }

    /// Takes an answer to the batch of `reply`; what answers an earlier batch, or one of another epoch, is stale.
    func withFastBatch(
        _ reply: FastBatchReply, _ take: (inout FastBatchProof) -> FastBatchProof.Action
    ) -> FastBatchProof.Action {
        state.withLock { state in
            guard reply.epoch == state.epoch, reply.base >= state.fastBatch?.base ?? 0 else {
                state.batch.staleAckCount += 1
                return .none
            }
            var batch =
                state.fastBatch.flatMap { $0.base == reply.base ? $0 : nil }
                ?? FastBatchProof(epoch: reply.epoch, base: reply.base)
            defer { state.fastBatch = batch }
            return take(&batch)
        }
    }

    /// Files the tokens from `first` to `last` as stored.
    package func postStored(_ epoch: UInt32, first: UInt64, last: UInt64) {
        if extendRange(epoch, first: first, last: last) { return }
        let isFirst = state.withLock { state in
            if epoch == state.epoch {
                closeRange(&state)
                if state.batch.appendStored(first, last, limit: Self.outcomeLimit) {
                    openEpoch.store(epoch, ordering: .relaxed)
                    openEnd.store(last, ordering: .releasing)
                }
            } else {
                state.batch.staleAckCount += 1
            }
            defer { state.isWakeDue = false }
            return state.isWakeDue
        }
        if isFirst { wake() }
    }

    /// Whether the open range was one that ends before `first`, and now ends with `last`. Nobody needs to be woken: that
    /// was done when it was opened, and a drain since would have closed it.
    private func extendRange(_ epoch: UInt32, first: UInt64, last: UInt64) -> Bool {
        let end = openEnd.load(ordering: .acquiring)
        guard end != 0, end < first, end + 1 == first, openEpoch.load(ordering: .relaxed) == epoch else { return false }
        return openEnd.compareExchange(expected: end, desired: last, ordering: .acquiringAndReleasing).exchanged
    }

    /// Takes the open range's end into the batch. With the lock held.
    private func closeRange(_ state: inout State) {
        let end = openEnd.exchange(0, ordering: .acquiringAndReleasing)
        if end != 0 { state.batch.extendLastStored(to: end) }
    }
}
