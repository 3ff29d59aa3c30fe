import Console
import History
import Pipeline

extension ManagedService {
    /// Of the streamer with these observations.
    init(manager: ServiceManager, observations: Observations) {
        self.init(manager: manager, farewell: "waiting for acks") {
            let status = observations.status()
            return State(
                isReady: status.role == .standby || (status.role == .active && status.ready), isLive: status.live, line: Self.line(status),
                kind: "\(status.role) \(status.reasons)")
        }
    }

    private static func line(_ status: StreamerStatus) -> String {
        switch status.role {
        case .standby: return "standing by"
        case .stopped: return status.reasons.joined(separator: ". ")
        case .active: break
        }
        guard status.reasons.isEmpty else { return "waiting: " + status.reasons.joined(separator: ". ") }
        var parts = ["streaming"]
        if let rate = status.rates?.eventsPerSecond { parts.append("\(Amount.tenths(rate)) events/s") }
        if let lag = status.source.lagSeconds { parts.append("\(Amount.tenths(lag)) s behind") }
        return parts.joined(separator: ", ")
    }
}
