import JetStreamPublishing

extension ConnectionEvent {
    /// Whether what is not permitted is to ask a leader to step down, for the account's limits, how the bucket was made, which streams there are, or a consumer that reads headers: without it one message after the other is asked for.
    var isOfHelp: Bool {
        guard case .permissionViolation(let what) = self else { return false }
        return ["LEADER.STEPDOWN", "$JS.API.INFO", "STREAM.INFO.KV_", "$JS.API.STREAM.NAMES", "$JS.API.CONSUMER."].contains { what.contains($0) }
    }
}
