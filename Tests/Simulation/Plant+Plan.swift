import Capture
import History
import Pipeline
import WAL

/// What is planted in the plan that recovery has made.
extension Plant {
    func changes(_ plan: Recovery.Plan, _ world: World) -> Recovery.Plan {
        var plan = plan
        switch self {
        case .newestIsWatermark: plan.known = watermark(plan.known, world) { $0.position > $1.position }
        case .echoIsWatermark: plan.known = watermark(plan.known, world) { _, _ in true }
        case .beginsBehind: if plan.known.storedID != nil { plan.startLSN = LSN(plan.startLSN.rawValue + 1) }
        case .beginsAtMessage:
            if case .message(let lsn)? = plan.proof { plan.startLSN = lsn }
        case .noProof: plan.proof = nil
        default: break
        }
        return plan
    }

    /// The end as it is where one of the stream's messages, which `isLater` than the ones before it, stands for all before it.
    private func watermark(
        _ known: KnownEnd, _ world: World, _ isLater: (MessageID, MessageID) -> Bool
    ) -> KnownEnd {
        let state = world.jetStream.answering
        var found: (id: MessageID, sequence: UInt64)?
        for sequence in stride(from: state.firstSequence, through: state.lastSequence, by: 1) {
            guard let number = state.message(sequence)?.number,
                let id = MessageID(String(decoding: world.changes[number].id, as: UTF8.self))
            else { continue }
            if found.map({ isLater(id, $0.id) }) ?? true { found = (id, sequence) }
        }
        guard let found else { return known }
        return KnownEnd(storedSequence: found.sequence, storedID: found.id, settledSequence: state.lastSequence, created: known.created)
    }
}
