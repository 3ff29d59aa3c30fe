import History
import JetStreamPublishing
import Logging
import Synchronization

/// What is refused again and again: retrying alone does not mend it, and the operator must know.
extension ChainedPublisher {
    /// Called between two attempts of which the first stored nothing.
    /// - Throws: What no attempt can mend: a stream that is none for us any more, or a message that is too large for it.
    func judgeRefusals() throws(StreamerError) {
        try requireUsableStream()
        guard let refusal = refusals.last else { return }
        switch RefusalCause.of(refusal.errCode) {
        case .passing: break
        case .tooLarge:
            // Encoded anew with the limit that the stream has now, it is told by its position, or goes out as a reference.
            throw .jetStream(
                .api(code: 400, errCode: refusal.errCode, description: refusal.text, operation: configuration.stream.name))
        case .waiting(let failure, let hint): tell(refusal, failure, hint)
        }
    }

    /// Said once, and again when JetStream says something else.
    private func tell(_ refusal: AckBatch.Refusal, _ failure: EventFailure, _ hint: String) {
        let what = "JetStream refuses the events: \(refusal.text) (\(refusal.errCode))"
        let isNew = observations.texts.withLock { texts in
            defer { texts.refusal = what }
            return texts.refusal != what
        }
        guard isNew else { return }
        observations.failed(failure.rawValue, what)
        logger.warning(
            "JetStream refuses the events, and the streamer tries again: nothing is lost",
            metadata: [
                "error": "\(refusal.text)", "err_code": "\(refusal.errCode)", "stream": "\(configuration.stream.name)",
                "hint": "\(hint)",
            ])
    }

    /// Something was stored: what was refused before no longer counts.
    func forgetRefusal() {
        observations.texts.withLock { $0.refusal = nil }
    }

    /// Somebody may have changed the stream: what it is refused for at the start it is refused for now.
    private func requireUsableStream() throws(StreamerError) {
        do throws(StreamerError) {
            _ = try Setup.compareStream(configuration, port.reader)
        } catch {
            guard case .stop(let reason, let what, _) = error else { return }
            throw .stop(
                reason, what: what,
                remedy: Steps.text(
                    "Nothing is lost",
                    [
                        "If the stream can be changed back, change the stream and skip the other steps: `slotstream run`",
                    ] + LostHistory.beginAnew))
        }
    }
}
