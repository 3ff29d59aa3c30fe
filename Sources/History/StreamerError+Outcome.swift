import PostgresReplication

extension StreamerError {
    /// How a command that runs once ends with this error: nothing is retried.
    package var oneShotOutcome: (reason: StopReason, remedy: String) {
        // `run` looks again; a command that runs once was given a name that is not there.
        if case .postgres(let error) = self, error.isUndefinedObject {
            return (.configuration, Steps.text(["Show the slots: `slotstream slot list`", "Show the publications in psql: \\dRp"]))
        }
        if case .checkpointConflict = self {
            return (.slotActive, "Wait until the other command or streamer has ended, then run this command again")
        }
        if case .serverInRecovery = self { return (.unreachable, "Name the primary in source.url, or promote the standby") }
        return switch FailurePolicy.verdict(on: self) {
        case .retry(let hint): (.unreachable, hint)
        case .standBy: (.slotActive, holderRemedy)
        case .stop(let reason, let remedy): (reason, remedy)
        }
    }

    /// How whoever holds the slot is stopped.
    private var holderRemedy: String {
        if case .slotActive(let holder?) = self { return holder.remedy }
        return Steps.text([
            "Show the slots and their users in psql: SELECT slot_name, active_pid FROM pg_replication_slots",
            "Stop the streamer, or the other program, that holds the slot",
        ])
    }
}
