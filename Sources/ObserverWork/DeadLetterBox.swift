package import JetStreamPublishing

/// The stream of dead letters: where they are stored, read, and removed.
package struct DeadLetterBox: Sendable {
    /// One that is stored.
    package struct Stored: Sendable {
        /// In the stream of dead letters: what commands call it by.
        package var number: UInt64
        /// nil: the message is no dead letter of a worker's.
        package var letter: DeadLetter?
        /// When it was stored; since 1970.
        package var storedAtNanoseconds: Int64?
    }

    package let configuration: WorkerConfiguration
    package let connection: JetStreamConnection

    package init(_ configuration: WorkerConfiguration, over connection: JetStreamConnection) {
        self.configuration = configuration
        self.connection = connection
    }

    /// Others that had the same id, at most: more are somebody's play.
    private static let namesakeLimit = 16

    /// Stores a letter, once within the stream's duplicate window. One that does not fit is stored without its event.
    /// - Returns: Whether it was stored now.
    /// - Throws: After `.timedOut` or `.notConnected` it may be stored: store it again.
    @discardableResult
    package func put(_ letter: DeadLetter) throws(JetStreamError) -> Bool {
        do throws(JetStreamError) {
            return try putWhole(letter)
        } catch {
            let isTooLarge = if case .payloadTooLarge = error { true } else { error.errCode == JetStreamErrorCode.messageTooLarge }
            guard isTooLarge, letter.payload != nil else { throw error }
            return try putWhole(letter.withoutEvent)
        }
    }

    private func putWhole(_ letter: DeadLetter) throws(JetStreamError) -> Bool {
        var letter = letter
        let id = letter.id
        for namesake in 0..<Self.namesakeLimit {
            if namesake > 0 { letter.id = "\(id).\(letter.sequence).\(namesake)" }
            let answer = try connection.storeOnce(
                letter.json(), on: letter.subject(configuration), headers: [("Nats-Msg-Id", letter.id)], in: configuration.deadStream)
            if answer.isNew { return true }
            // The id is known: of this very letter, or of another event's, or of one that somebody has removed since.
            if let known = try self.letter(answer.sequence)?.letter, known.isOfSameFailure(as: letter) { return false }
        }
        throw .invalidMessage("a dead letter whose id \(Self.namesakeLimit) others have")
    }

    /// How many there are; nil: there is no such stream.
    package func count(timeout: Duration = JetStreamConnection.apiTimeout) throws(JetStreamError) -> Int? {
        try connection.streamInfo(configuration.deadStream, timeout: timeout).map { Int(clamping: $0.state.messages) }
    }

    /// The message of that number; nil: there is none.
    package func letter(_ number: UInt64) throws(JetStreamError) -> Stored? {
        guard let message = try connection.message(configuration.deadStream, sequence: number) else { return nil }
        return Self.stored(message)
    }

    /// Hands out all that are stored now, the oldest first, until `body` says no.
    package func forEach(_ body: (Stored) -> Bool) throws(JetStreamError) {
        guard let info = try connection.streamInfo(configuration.deadStream), info.state.messages > 0 else { return }
        let reader = try connection.openReader(configuration.deadStream, from: .first)
        defer { reader.close() }
        while true {
            guard let message = try reader.next(timeout: JetStreamConnection.apiTimeout) else {
                throw .timedOut(operation: "read \(configuration.deadStream)")
            }
            if message.sequence > info.state.lastSequence { return }
            if !body(Self.stored(message)) { return }
            if message.sequence == info.state.lastSequence || reader.pendingCount == 0 { return }
        }
    }

    /// Removes one.
    package func remove(_ number: UInt64) throws(JetStreamError) {
        try connection.deleteMessage(configuration.deadStream, sequence: number)
    }

    private static func stored(_ message: StoredMessage) -> Stored {
        Stored(number: message.sequence, letter: DeadLetter(json: message.payload), storedAtNanoseconds: message.storedAtNanoseconds)
    }
}
