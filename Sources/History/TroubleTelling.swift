/// Which troubles were told: each is told once for as long as it lasts, however often it is tried.
package struct TroubleTelling {
    /// By server and reason: no more than there are of both.
    private var told: Set<String> = []

    package init() {}

    /// Whether nobody was told of it yet.
    package mutating func isNews(_ error: StreamerError) -> Bool {
        told.insert("\(error.peer.rawValue) \(RetryReason.of(error))").inserted
    }
}
