/// What a stop or a refusal of a server is an example of: the slot's state, the role's rights, the account's.
extension StreamerError {
    /// What this error would be in `check`'s list; empty: something that no check finds beforehand.
    package var findings: [Finding] {
        let id: FindingID?
        switch self {
        case .found(_, let findings): return findings
        case .stop(let reason, _, _): id = FindingID.of(reason)
        case .postgres(let error): id = Finding.id(of: error)
        case .jetStream(let error): id = Finding.id(of: error)
        case .capture, .decoding, .serverShuttingDown, .walHeldUp, .streamMoved, .slotActive, .serverInRecovery, .checkpointConflict, .system,
            .cancelled:
            id = nil
        }
        guard let id else { return [] }
        let paste: Paste? = id == .jetStreamMissing ? .natsServer("jetstream: enabled") : nil
        return [Finding(id, severity: .error, peer.name, description, fix: oneShotOutcome.remedy, paste: paste)]
    }

    /// Their ids, as the log has them; nil: none.
    package var findingIDs: String? {
        let ids = findings.map(\.id.rawValue)
        return ids.isEmpty ? nil : ids.joined(separator: " ")
    }
}
