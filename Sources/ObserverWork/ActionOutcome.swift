/// How one attempt of an action went.
enum ActionOutcome: Sendable, Equatable {
    case done
    case failed(ActionFailure)
    /// It was not wanted any more when its turn came.
    case notBegun
}

/// Why an attempt failed.
struct ActionFailure: Sendable, Equatable {
    /// FraiseQL's kinds, for its metric.
    enum Kind: String, Sendable, CaseIterable {
        case executionFailed = "execution_failed"
        case permanentlyFailed = "permanently_failed"
        case invalidConfig = "invalid_config"
        case templateRenderingFailed = "template_rendering_failed"
        case databaseError = "database_error"
        case circuitBreakerOpen = "circuit_breaker_open"
        case otherError = "other_error"
    }

    var kind: Kind
    /// Without a secret and without row data.
    var text: String
    /// What the other side said, which may repeat the row: for the dead letter, which has the row too, and for no log.
    var answer: String
    /// The same again must fail again.
    var isPermanent: Bool
    /// The receiver itself is in trouble, so far as it can be told: what opens its breaker.
    var isTheHosts: Bool
    /// Whether the receiver has said anything.
    var isAnswered: Bool
    /// How long the receiver wants to be left alone; nil: it does not say.
    var retryAfter: Duration?

    init(
        _ kind: Kind, _ text: String, answer: String = "", isPermanent: Bool = false, isTheHosts: Bool = false, isAnswered: Bool = false,
        retryAfter: Duration? = nil
    ) {
        self.kind = kind
        self.text = text
        self.answer = answer
        self.isPermanent = isPermanent
        self.isTheHosts = isTheHosts
        self.isAnswered = isAnswered
        self.retryAfter = retryAfter
    }

    /// With what the other side said.
    var wholeText: String { answer.isEmpty ? text : "\(text): \(answer)" }
}
