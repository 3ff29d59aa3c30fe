import PostgresReplication

extension StreamerError {
    /// How a command that runs once ends with this error: nothing is retried.
    public var oneShotOutcome: (reason: StopReason, remedy: String) {
        // `run` looks again; a command that runs once was given a name that is not there.
        if case .postgres(let error) = self, error.isUndefinedObject {
            return (.configuration, "`slotstream slot list` shows the slots, \\dRp in psql the publications")
        }
        if case .checkpointConflict = self {
            return (.slotActive, "Something else sets up or streams at the same time: run the command again when it has ended")
        }
        return switch FailurePolicy.verdict(on: self) {
        case .retry(let hint): (.unreachable, hint)
        case .standBy: (.slotActive, "Another streamer holds the slot")
        case .stop(let reason, let remedy): (reason, remedy)
        }
    }
}
