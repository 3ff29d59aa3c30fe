extension JetStreamConnection {
    /// What is done with one stored message: the spans are valid during the call. False ends the reading.
    public typealias HeaderHandler = (_ sequence: UInt64, _ messageID: Span<UInt8>?, _ subject: Span<UInt8>) -> Bool

    /// Reads subject and `Nats-Msg-Id` of each message of `range` that is there, in the order of sequences, without bodies.
    ///
    /// A sequence that is not there is not handed out. On a replicated stream that is what one server says: before anything hangs on it look again
    /// (``message(_:sequence:timeout:)``). Nothing is handed out twice or out of order, whatever breaks meanwhile, and a short answer is never believed: a reading
    /// that returns handed out the last message of `range`, or was told by the stream's leader, which had stored the whole range, that none is left of it.
    ///
    /// Reads by the pull consumer `consumer`, which is replaced, and deleted afterwards. Where that is refused, or comes to nothing, one message after another
    /// is asked for, bodies included. Memory is bounded: 8 MiB of headers or, one by one, of answers that are as large as those before them.
    /// - Parameters:
    ///   - range: Ends no later than the stream's last sequence; beyond that there is no end to be known.
    ///   - consumer: A name that nobody else uses.
    ///   - isWanted: Asked five times a second; false ends the reading.
    ///   - body: Returns false to end the reading.
    /// - Throws: `.timedOut`, or what stood in the way, when nothing could be read for five seconds: ask the stream for its end again. At once: no such
    ///   stream, no permission, a closed connection.
    public func readHeaders(
        _ stream: String, _ range: ClosedRange<UInt64>, consumer: String, isWanted: () -> Bool, _ body: HeaderHandler
    ) throws(JetStreamError) {
        var reader = HeaderReader(self, try Self.checked(stream), range, consumer: try Self.checked(consumer))
        try reader.read(isWanted, body)
    }
}
