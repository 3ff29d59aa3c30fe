extension StreamerError {
    /// How a command that runs once ends with this error: nothing is retried.
    public var oneShotOutcome: (reason: StopReason, remedy: String) {
        switch FailurePolicy.verdict(on: self) {
        case .retry(let hint): (.unreachable, hint)
        case .standBy: (.slotActive, "Another streamer holds the slot")
        case .stop(let reason, let remedy): (reason, remedy)
        }
    }
}
