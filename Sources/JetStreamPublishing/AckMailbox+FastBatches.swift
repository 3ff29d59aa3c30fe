extension AckMailbox {
    /// Reads the answer to a message of a fast batch, and files what it proves under the tokens of the batch's messages.
    func receive(_ reply: FastBatchReply, body: UnsafeBufferPointer<UInt8>) {
        guard let answer = FastBatchAnswer(body) else {
            return file(reply) { $0.received(.malformed(token: reply.token), to: reply.ordinal) }
        }
        if let refusal = answer.refusal { note(refusal, body, of: AckReply(epoch: reply.epoch, token: reply.token)) }
        let isOfStream = if case .last(let ack) = answer { matchesStream(body, ack.stream) } else { true }
        file(reply) { $0.received(answer, to: reply.ordinal, isOfStream: isOfStream) }
    }

    /// Files an outcome that needed no reading.
    func post(_ reply: FastBatchReply, _ outcome: PublishOutcome) {
        file(reply) { $0.received(outcome, to: reply.ordinal) }
    }

    private func file(_ reply: FastBatchReply, _ take: (inout FastBatchProof) -> FastBatchProof.Action) {
        let ack = AckReply(epoch: reply.epoch, token: reply.token)
        switch withFastBatch(reply, take) {
        case .none: break
        case .report(let outcome): post(ack, outcome)
        case .stored(let ordinals, let end):
            if let ordinals {
                postStored(reply.epoch, first: reply.base &+ ordinals.lowerBound, last: reply.base &+ ordinals.upperBound)
            }
            if let end { post(ack, .fastBatchEnded(token: reply.base &+ end)) }
        }
    }
}
