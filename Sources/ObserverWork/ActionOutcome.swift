/// How one attempt of an action went.
package enum ActionOutcome: Sendable, Equatable {
    case done
    /// - Parameter retryAfter: How long the receiver wants to be left alone; nil: it does not say.
    case failed(ActionFailure)
}

/// Why an attempt failed.
package struct ActionFailure: Sendable, Equatable {
    /// FraiseQL's kinds, for its metric.
    package enum Kind: String, Sendable, CaseIterable {
        case executionFailed = "execution_failed"
        case permanentlyFailed = "permanently_failed"
        case invalidConfig = "invalid_config"
        case templateRenderingFailed = "template_rendering_failed"
        case databaseError = "database_error"
        case circuitBreakerOpen = "circuit_breaker_open"
        case otherError = "other_error"
    }

    package var kind: Kind
    /// Without a secret and without row data.
    package var text: String
    /// What the other side said, which may repeat the row: for the dead letter, which has the row too, and for no log.
    package var answer: String
    /// The same again must fail again.
    package var isPermanent: Bool
    /// The receiver itself is in trouble, so far as it can be told: what opens its breaker.
    package var isTheHosts: Bool
    /// How long the receiver wants to be left alone; nil: it does not say.
    package var retryAfter: Duration?

    init(_ kind: Kind, _ text: String, answer: String = "", isPermanent: Bool = false, isTheHosts: Bool = false, retryAfter: Duration? = nil) {
        self.kind = kind
        self.text = text
        self.answer = answer
        self.isPermanent = isPermanent
        self.isTheHosts = isTheHosts
        self.retryAfter = retryAfter
    }

    /// With what the other side said.
    package var wholeText: String { answer.isEmpty ? text : "\(text): \(answer)" }
}
