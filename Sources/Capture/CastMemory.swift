/// The casts to json of one row: what the database said of its values, and what it has to be asked still.
///
/// A row is encoded once to find out what is to be asked, all of it in one question, and once more with the answers. The same value stands in a row more
/// than once: in `entity` and in `changes`.
struct CastMemory {
    /// Values a question, at most, and bytes of theirs, but for a single one: a row with more is asked about in parts.
    static let requestLimit = 1000
    static let requestByteCountLimit = 1024 * 1024

    private var answers: [CastRequest: CastAnswer] = [:]
    private(set) var requests: [CastRequest] = []
    private var requestByteCount = 0

    /// Whether anything has to be asked before the row can be written.
    var hasRequests: Bool { !requests.isEmpty }

    /// No other value may be put into the question.
    var isFull: Bool { requests.count >= Self.requestLimit || requestByteCount >= Self.requestByteCountLimit }

    /// What is known of a value; nil: it is a part of the question now.
    mutating func answer(to request: CastRequest) -> CastAnswer? {
        if let answer = answers[request] { return answer }
        if !requests.contains(request) {
            requests.append(request)
            requestByteCount += request.text.utf8.count
        }
        return nil
    }

    /// Takes what was said to `takeRequests()`.
    mutating func answered(_ requests: [CastRequest], _ answers: [CastAnswer]) {
        for (request, answer) in zip(requests, answers) { self.answers[request] = answer }
    }

    /// What is to be asked; the row is written anew afterwards.
    mutating func takeRequests() -> [CastRequest] {
        defer { dropRequests() }
        return requests
    }

    mutating func dropRequests() {
        requests = []
        requestByteCount = 0
    }

    /// The row is over.
    mutating func removeAll() {
        guard !answers.isEmpty || !requests.isEmpty else { return }
        answers = [:]
        dropRequests()
    }
}
