import Capture
import History
import JetStreamPublishing
import Threads
import WAL

/// An event that a command stores, with all that is needed to store it.
struct AppendedEvent {
    var subject: [UInt8]
    var messageID: String
    var payload: [UInt8]

    /// What it takes of a limit in bytes.
    var byteCount: Int { subject.count + messageID.utf8.count + payload.count }
}

/// Stores events behind a stream's end, chained, and knows when each is proven to be stored: for commands, which have no window and no session.
///
/// What is to be stored is handed on by `add`, and `turn` moves it on without waiting; `append` is both, and waits.
///
/// The rules are `ChainedPublisher`'s. An event is stored if an ack says so with the stream's name, the expected sequence and no `duplicate`, or if it was read where it
/// follows the one before it; anything else means: let settle, read every header behind what is proven, go on from there. Messages of others are passed over.
struct ChainedAppend<Port: StreamPort> {
    private enum Phase {
        case publishing
        /// What is in flight is answered, or its time passes.
        case settling
        case reading
    }

    /// So long nothing at all may be stored before it is given up.
    static var patience: Duration { .seconds(30) }

    let port: Port
    let stream: String
    let identity: SourceIdentity
    /// The stream's creation time: another one is another stream.
    let created: String
    /// All up to it is known. What is stored behind it is found by reading.
    private(set) var end: UInt64
    /// Of the acks that count.
    private(set) var epoch: UInt32
    /// Events in flight at most. More than one where nobody else writes to the stream: a stray among them leaves a hole, and that is an error.
    let inFlightLimit: Int
    let ackTimeout: Duration

    private var phase = Phase.publishing
    private var chain: PublishChain
    private var acks = AckBatch()
    private var refusalCount = 0
    private var backoff = Backoff()
    /// Handed on and not known to be stored, `events[storedIndex...]`, oldest first.
    private var events: [AppendedEvent] = []
    private var storedIndex = 0
    private var lastProgress: Instant
    /// Bytes of the events that are not known to be stored.
    private(set) var pendingByteCount = 0
    /// All that was handed on is stored up to so many.
    private(set) var storedCount: UInt64 = 0
    /// Where the event stands that was stored last; 0: none was.
    private(set) var lastStoredSequence: UInt64 = 0

    /// - Parameters:
    ///   - end: The stream's last sequence, up to which the caller knows what is there.
    ///   - epoch: One that the port was not used with.
    init(
        _ port: Port, stream: String, created: String, identity: SourceIdentity, behind end: UInt64, epoch: UInt32 = 1,
        inFlightLimit: Int = 1, ackTimeout: Duration = JetStreamConnection.apiTimeout
    ) {
        self.port = port
        self.stream = stream
        self.created = created
        self.identity = identity
        self.end = end
        self.epoch = epoch
        self.inFlightLimit = inFlightLimit
        self.ackTimeout = ackTimeout
        chain = PublishChain(lastSequence: end)
        lastProgress = port.now
        begin()
    }

    /// Events that are not known to be stored.
    var pendingCount: Int { events.count - storedIndex }

    /// Hands an event on, whose id nobody else uses, behind those before it.
    mutating func add(_ event: AppendedEvent) {
        if pendingCount == 0 { lastProgress = port.now }
        events.append(event)
        pendingByteCount += event.byteCount
    }

    /// Publishes what there is to publish, and takes what has come back, without waiting.
    /// - Throws: as ``append(_:isWanted:)``.
    mutating func turn() throws(StreamerError) {
        let before = storedCount
        try takeEvents()
        try takeAcks()
        switch phase {
        case .publishing: try publish()
        case .settling: if !isUnanswered { readNext() }
        case .reading: try read()
        }
        if storedCount > before || pendingCount == 0 {
            lastProgress = port.now
            backoff.reset()
        } else if port.now.duration(since: lastProgress) > Self.patience {
            throw .jetStream(.timedOut(operation: "publish to stream \(stream)"))
        }
    }

    /// So many more are stored, the last of them at `sequence`.
    private mutating func stored(_ count: Int, lastAt sequence: UInt64) {
        for event in events[storedIndex..<storedIndex + count] { pendingByteCount -= event.byteCount }
        storedIndex += count
        storedCount += UInt64(count)
        lastStoredSequence = sequence
        // What is stored is let go of now and then, at the cost of one move of the rest.
        guard storedIndex == events.count || storedIndex >= 4096 else { return }
        events.removeFirst(storedIndex)
        storedIndex = 0
    }

    /// Stores `events`, whose ids nobody else uses, in their order, and waits for it.
    /// - Returns: The sequence of the last one; where the stream ends, if there is none.
    /// - Throws: `.streamMoved` if somebody who writes such events wrote meanwhile, or the stream is another one; `.stop` at a hole; `.jetStream` for what
    ///   JetStream refuses for good, or if nothing is stored for ``patience``.
    mutating func append(
        _ events: [AppendedEvent], isWanted: () -> Bool = { true }
    ) throws(StreamerError) -> UInt64 {
        for event in events { add(event) }
        try finish(isWanted: isWanted)
        return events.isEmpty ? end : lastStoredSequence
    }

    /// Waits until everything that was handed on is stored.
    mutating func finish(isWanted: () -> Bool = { true }) throws(StreamerError) {
        while pendingCount > 0 {
            guard isWanted() else { throw .cancelled }
            try turn()
            if pendingCount > 0 { port.wait(timeout: waitTime) }
        }
    }

    /// Publishing begins anew behind what is known.
    private mutating func begin() {
        epoch &+= 1
        port.beginEpoch(epoch)
        refusalCount = 0
        chain = PublishChain(lastSequence: end)
        phase = .publishing
    }

    /// How long there is nothing to do but to wait.
    var waitTime: Duration {
        switch phase {
        case .publishing: chain.inFlightCount < min(inFlightLimit, pendingCount) ? .zero : .milliseconds(50)
        case .settling: isUnanswered ? .milliseconds(50) : .zero
        case .reading: port.isConnected ? .zero : .milliseconds(250)
        }
    }

    private mutating func troubled() {
        switch phase {
        case .publishing: phase = .settling
        // What is read afterwards tells.
        case .settling, .reading: break
        }
    }

    // MARK: - Publishing

    private mutating func publish() throws(StreamerError) {
        if chain.isOverdue(at: port.now, ackTimeout: ackTimeout) { return troubled() }
        var isSent = false
        while chain.inFlightCount < min(inFlightLimit, pendingCount) {
            let event = events[storedIndex + chain.inFlightCount]
            let token = chain.nextToken
            let id = Array(event.messageID.utf8)
            do throws(JetStreamError) {
                try port.publish(
                    subject: event.subject.span, messageID: id.span, payload: event.payload.span,
                    expectedLastSequence: token - 1, token: token, epoch: epoch, previousMessageID: nil)
            } catch {
                guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
                return troubled()
            }
            chain.accepted(at: port.now)
            isSent = true
        }
        if isSent { port.sendBuffered() }
    }

    private mutating func takeAcks() throws(StreamerError) {
        port.drainAcks(into: &acks)
        for range in acks.stored {
            do throws(PublishChain.Fault) {
                let count = try chain.stored(range.first...range.last)
                guard count > 0 else { continue }
                end = chain.firstInFlightToken - 1
                stored(count, lastAt: end)
            } catch {
                troubled()
            }
        }
        for outcome in acks.outcomes where !outcome.isControl {
            refusalCount += 1
            if case .refused(_, let errCode, let code, _) = outcome, RefusalCause.of(errCode).failure != nil {
                throw .jetStream(
                    .api(code: code, errCode: errCode, description: acks.refusal?.text ?? "refused", operation: stream))
            }
            troubled()
        }
        if acks.droppedCount > 0 {
            refusalCount += acks.droppedCount
            troubled()
        }
    }

    private mutating func takeEvents() throws(StreamerError) {
        for event in port.takeEvents() {
            switch event {
            case .disconnected, .reconnected: troubled()
            case .closed(let why): throw .jetStream(.notConnected(why))
            case .permissionViolation(let what) where !event.isOfHelp: throw .jetStream(.permission(what))
            case .permissionViolation, .asyncError: break
            }
        }
    }

    // MARK: - After trouble

    /// Whether an answer to something in flight may still come.
    private var isUnanswered: Bool {
        guard let accepted = chain.lastAcceptedAt, port.isConnected, port.now < accepted + ackTimeout else { return false }
        return chain.inFlightCount - chain.earlyCount > refusalCount
    }

    /// Acks of what was sent no longer count: what is read does.
    private mutating func readNext() {
        epoch &+= 1
        port.beginEpoch(epoch)
        phase = .reading
    }

    /// What stands behind what is proven.
    private enum Found {
        /// So many of the next events are stored; everything up to `end` was read.
        case stored(Int, lastAt: UInt64, end: UInt64)
        /// A woken old leader's answer.
        case notYet
        /// One of ours stands there, and those before it do not.
        case hole(before: UInt64, missing: [String])
        /// Somebody whose messages matter wrote meanwhile.
        case moved(String)
    }

    /// Reads what stands behind what is proven, and goes on behind it.
    private mutating func read() throws(StreamerError) {
        guard port.isConnected else { return }
        let found: Found
        do throws(JetStreamError) {
            found = try findStored()
        } catch {
            guard FailurePolicy.isWorthAsking(again: error) else { throw .jetStream(error) }
            return rest()
        }
        switch found {
        case .stored(let count, let sequence, let last):
            let isNew = last > end
            if count > 0 { stored(count, lastAt: sequence) }
            end = last
            begin()
            if !isNew { rest() }
        case .notYet: rest()
        case .moved(let what): throw .streamMoved(what)
        case .hole(let sequence, let missing):
            throw .stop(
                .holeFound,
                what: "stream \(stream) lacks \(missing.count) events before sequence \(sequence), the first of them \(missing.first ?? "unknown"): another writer published to the stream meanwhile",
                remedy: StreamHole.remedy)
        }
    }

    private mutating func rest() { port.wait(timeout: backoff.delay(random: port.random())) }

    private func findStored() throws(JetStreamError) -> Found {
        // What the client kept while it was reconnecting goes out before the end is read.
        try port.flush(timeout: ackTimeout)
        guard let info = try port.reader.streamInfo(stream), info.created == created else {
            return .moved("stream \(stream) was deleted or created again meanwhile")
        }
        let last = info.state.lastSequence
        guard last >= end else { return .notYet }
        guard last > end else { return .stored(0, lastAt: end, end: end) }
        var count = 0
        var lastSequence = end
        var fault: Found?
        var expected = end + 1
        try port.reader.readHeaders(stream, end + 1...last, consumer: StreamReading.consumer, isWanted: { true }) {
            (sequence, messageID, _) in
            if sequence > expected { fault = deleted(expected...sequence - 1) }
            expected = sequence + 1
            let rest = events[(storedIndex + count)...]
            switch Self.place(of: messageID, in: rest, identity) {
            case .next:
                count += 1
                lastSequence = sequence
            case .later(let missing): fault = .hole(before: sequence, missing: missing)
            case .ofAnother(let id): fault = .moved("\(id) was stored in stream \(stream) meanwhile")
            case .stray: break
            }
            return fault == nil
        }
        if fault == nil, expected <= last { fault = deleted(expected...last) }
        return fault ?? .stored(count, lastAt: lastSequence, end: last)
    }

    private func deleted(_ range: ClosedRange<UInt64>) -> Found {
        .moved("sequences \(range.lowerBound) to \(range.upperBound) of stream \(stream) were deleted meanwhile")
    }

    /// What a message is to the events that are still to be stored.
    private enum Place {
        case next
        case later(missing: [String])
        /// An event that somebody else of us stored.
        case ofAnother(MessageID)
        case stray
    }

    private static func place(
        of messageID: Span<UInt8>?, in events: ArraySlice<AppendedEvent>, _ identity: SourceIdentity
    ) -> Place {
        guard let messageID, let id = MessageID(header: messageID), id.isOf(identity) else { return .stray }
        let text = messageID.withUnsafeBufferPointer { String(decoding: $0, as: UTF8.self) }
        guard let index = events.firstIndex(where: { $0.messageID == text }) else { return .ofAnother(id) }
        return index == events.startIndex ? .next : .later(missing: events[..<index].map(\.messageID))
    }
}
