import ServiceLifecycle

/// Tells the service manager how the process is, for as long as it runs: ready once it works or stands by, a line for `systemctl status`, and that it lives, by the
/// same progress that `/livez` answers with.
package struct ManagedService: Service {
    /// How the process is now.
    package struct State: Sendable {
        /// It works, or stands by.
        package var isReady: Bool
        package var isLive: Bool
        /// What it does, on one line; numbers in it change all the time.
        package var line: String
        /// When another one comes, the line is told at once.
        package var kind: String

        package init(isReady: Bool, isLive: Bool, line: String, kind: String) {
            self.isReady = isReady
            self.isLive = isLive
            self.line = line
            self.kind = kind
        }
    }

    private let manager: ServiceManager
    private let state: @Sendable () -> State
    private let farewell: String

    /// Between two looks, unless the manager wants to hear more often.
    private static let interval = Duration.seconds(1)
    /// No more often than this, while the kind stays the same.
    private static let lineInterval = Duration.seconds(10)

    /// - Parameters:
    ///   - farewell: What it does after it was told to stop.
    ///   - state: Asked once a second, or more often.
    package init(manager: ServiceManager, farewell: String, state: @escaping @Sendable () -> State) {
        self.manager = manager
        self.farewell = farewell
        self.state = state
    }

    package func run() async throws {
        let interval = min(Self.interval, (manager.watchdogInterval ?? Self.interval) / 2)
        try? await cancelWhenGracefulShutdown {
            var isReadyTold = false
            var lineTold: (kind: String, at: ContinuousClock.Instant)?
            while true {
                let state = state()
                let now = ContinuousClock.now
                if lineTold.map({ $0.kind != state.kind || $0.at.duration(to: now) >= Self.lineInterval }) ?? true {
                    manager.tell("STATUS=\(state.line)")
                    lineTold = (state.kind, now)
                }
                if !isReadyTold, state.isReady {
                    manager.tell("READY=1")
                    isReadyTold = true
                }
                if state.isLive, manager.watchdogInterval != nil { manager.tell("WATCHDOG=1") }
                try await Task.sleep(for: interval)
            }
        }
        manager.tell("STOPPING=1", "STATUS=stopping: \(farewell)")
    }
}
