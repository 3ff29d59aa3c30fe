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
        case .standBy: (.slotActive, holderRemedy)
        case .stop(let reason, let remedy): (reason, remedy)
        }
    }

    /// How whoever holds the slot is stopped.
    private var holderRemedy: String {
        if case .slotActive(let holder?) = self { return holder.remedy }
        return "Stop the streamer, or the other program, that holds the slot: SELECT slot_name, active_pid FROM pg_replication_slots"
    }
}
