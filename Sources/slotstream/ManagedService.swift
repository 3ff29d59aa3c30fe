import History
import Pipeline
import ServiceLifecycle

/// Tells the service manager how the streamer is, for as long as the streamer runs: ready once it streams or stands by, a line for `systemctl status`, and that it
/// lives, by the same progress that `/livez` answers with.
struct ManagedService: Service {
    let manager: ServiceManager
    let observations: Observations

    /// Between two looks, unless the manager wants to hear more often.
    private static let interval = Duration.seconds(1)
    /// Numbers in the line change all the time: no more often than this.
    private static let lineInterval = Duration.seconds(10)

    func run() async throws {
        let interval = min(Self.interval, (manager.watchdogInterval ?? Self.interval) / 2)
        try? await cancelWhenGracefulShutdown {
            var isReadyTold = false
            var lineTold: (state: String, at: ContinuousClock.Instant)?
            while true {
                let status = observations.status()
                let state = "\(status.role) \(status.reasons)"
                let now = ContinuousClock.now
                if lineTold.map({ $0.state != state || $0.at.duration(to: now) >= Self.lineInterval }) ?? true {
                    manager.tell("STATUS=\(Self.line(status))")
                    lineTold = (state, now)
                }
                if !isReadyTold, status.role == .standby || (status.role == .active && status.ready) {
                    manager.tell("READY=1")
                    isReadyTold = true
                }
                if status.live, manager.watchdogInterval != nil { manager.tell("WATCHDOG=1") }
                try await Task.sleep(for: interval)
            }
        }
        manager.tell("STOPPING=1", "STATUS=stopping: waiting for acks")
    }

    /// What it does now, on one line.
    static func line(_ status: StreamerStatus) -> String {
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
