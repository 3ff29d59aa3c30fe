package import JetStreamPublishing

/// The stream of dead letters: where they are stored, read, and removed.
package struct DeadLetterBox: Sendable {
    /// One that is stored.
    package struct Stored: Sendable {
        /// In the stream of dead letters: what commands call it by.
        package var number: UInt64
        package var letter: DeadLetter
        /// When it was stored; since 1970.
        package var storedAtNanoseconds: Int64?
    }

    package let configuration: WorkerConfiguration
    package let connection: JetStreamConnection

    package init(_ configuration: WorkerConfiguration, over connection: JetStreamConnection) {
        self.configuration = configuration
        self.connection = connection
    }

    /// Stores a letter, once within the stream's duplicate window.
    /// - Returns: Whether it was stored now.
    /// - Throws: After `.timedOut` or `.notConnected` it may be stored: store it again.
    @discardableResult
    package func put(_ letter: DeadLetter) throws(JetStreamError) -> Bool {
        try connection.storeOnce(
            letter.json(), on: letter.subject(configuration), headers: [("Nats-Msg-Id", letter.id)], in: configuration.deadStream
        ).isNew
    }

    /// How many there are; nil: there is no such stream.
    package func count(timeout: Duration = JetStreamConnection.apiTimeout) throws(JetStreamError) -> Int? {
        try connection.streamInfo(configuration.deadStream, timeout: timeout).map { Int(clamping: $0.state.messages) }
    }

    /// The letter of that number; nil: there is none, or it is none.
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
            if let stored = Self.stored(message), !body(stored) { return }
            if message.sequence == info.state.lastSequence || reader.pendingCount == 0 { return }
        }
    }

    /// Removes one.
    package func remove(_ number: UInt64) throws(JetStreamError) {
        try connection.deleteMessage(configuration.deadStream, sequence: number)
    }

    private static func stored(_ message: StoredMessage) -> Stored? {
        DeadLetter(json: message.payload).map {
            Stored(number: message.sequence, letter: $0, storedAtNanoseconds: message.storedAtNanoseconds)
        }
    }
}
