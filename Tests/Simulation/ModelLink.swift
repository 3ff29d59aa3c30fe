import JetStreamPublishing

/// A process's connection to JetStream: what it has handed to the client, what comes back, and whether the link is up.
///
/// One direction keeps its order, whatever else happens. A link that breaks swallows a part of what was on its way; another part may arrive much later.
// Sendable because one thread runs all of a simulation.
final class ModelLink: @unchecked Sendable {
    /// What comes back to a publish.
    struct Reply {
        var token: UInt64
        var epoch: UInt32
        var answer: Answer
    }

    unowned let world: World
    let process: Process
    /// The program's own: it reads the answers.
    let mailbox: AckMailbox
    private(set) var isUp = true
    /// The program has closed it.
    private(set) var isClosed = false
    private var outbox: [Publish] = []
    private var outboxStart = 0
    private var replies: [Reply] = []
    private var repliesStart = 0
    private var events: [ConnectionEvent] = []
    /// The strand that publishes.
    weak var publisher: Strand?

    init(_ world: World, _ process: Process) {
        self.world = world
        self.process = process
        mailbox = AckMailbox(stream: Names.stream, controlStream: "KV_" + Names.bucket, wake: {})
    }

    func wake() { publisher?.isSignalled = true }

    // MARK: - The client's side

    /// Hands a message to the client.
    func send(_ message: Publish) throws(JetStreamError) {
        guard isUp else { throw .notConnected("the link is down") }
        outbox.append(message)
    }

    func takeEvents() -> [ConnectionEvent] {
        guard !events.isEmpty else { return [] }
        defer { events.removeAll() }
        return events
    }

    func close() {
        guard !isClosed else { return }
        isClosed = true
        spill(.end)
        isUp = false
    }

    /// Its process is killed: what is still in the client's memory goes with it.
    func breakForDeath() {
        guard !isClosed else { return }
        isClosed = true
        if isUp { spill(.fault) }
        isUp = false
    }

    // MARK: - The network

    var hasMessage: Bool { isUp && outboxStart < outbox.count }

    var hasReply: Bool { isUp && repliesStart < replies.count }

    /// The server takes the next message; its answer begins its way back.
    func deliver() {
        let message = outbox[outboxStart]
        outboxStart += 1
        if outboxStart == outbox.count {
            outbox.removeAll(keepingCapacity: true)
            outboxStart = 0
        }
        guard let answer = world.received(message) else { return }
        reply(answer, to: message)
    }

    func reply(_ answer: Answer, to message: Publish) {
        replies.append(Reply(token: message.token, epoch: message.epoch, answer: answer))
    }

    /// The next answer arrives.
    func deliverReply(isLost: Bool = false, isDoubled: Bool = false) {
        let reply = replies[repliesStart]
        repliesStart += 1
        if repliesStart == replies.count {
            replies.removeAll(keepingCapacity: true)
            repliesStart = 0
        }
        guard !isLost else { return }
        hand(reply)
        if isDoubled { hand(reply) }
        wake()
    }

    private func hand(_ reply: Reply) {
        let isControl = reply.token & AckMailbox.controlBit != 0
        let reply = world.plant.rewrites(reply, isRecord: isControl)
        world.scratch.write(reply.answer, stream: isControl ? "KV_" + Names.bucket : Names.stream)
        world.scratch.bytes.withUnsafeBufferPointer {
            if reply.answer == .noResponders {
                mailbox.post(AckReply(epoch: reply.epoch, token: reply.token), .noResponders(token: reply.token))
            } else {
                mailbox.receive(AckReply(epoch: reply.epoch, token: reply.token), body: $0)
            }
        }
    }

    /// How much of what is on its way is lost when the link ends.
    enum Break {
        /// Closed in order: everything goes out, if later; no answer comes.
        case end
        /// It breaks: a part arrives at once, a part is lost, a part arrives whenever.
        case fault
    }

    /// The link breaks; the client makes it anew.
    func breakDown() {
        guard isUp else { return }
        spill(.fault)
        isUp = false
        events.append(.disconnected("the model"))
        wake()
    }

    /// The link is up again.
    func comeBack() {
        guard !isUp, !isClosed else { return }
        isUp = true
        events.append(.reconnected("nats://model"))
        wake()
    }

    private func spill(_ kind: Break) {
        defer {
            outbox.removeAll(keepingCapacity: true)
            outboxStart = 0
            replies.removeAll(keepingCapacity: true)
            repliesStart = 0
        }
        guard outboxStart < outbox.count else { return }
        var messages = Array(outbox[outboxStart...])
        for index in messages.indices { messages[index].isLate = true }
        switch kind {
        case .end: world.delay(messages)
        case .fault:
            let first = world.random.below(messages.count + 1)
            let second = first + world.random.below(messages.count - first + 1)
            world.delay(Array(messages[..<first]))
            world.delay(Array(messages[second...]))
        }
    }
}

/// An answer as JetStream writes it.
struct AnswerText {
    var bytes: [UInt8] = []

    mutating func write(_ answer: Answer, stream: String) {
        bytes.removeAll(keepingCapacity: true)
        switch answer {
        case .stored(let sequence): ack(stream, sequence, isDuplicate: false)
        case .duplicate(let sequence): ack(stream, sequence, isDuplicate: true)
        case .otherStream(let sequence): ack("other", sequence, isDuplicate: false)
        case .wrongSequence(let last):
            append(#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: "#)
            append(last)
            append(#""},"stream":"events","seq":0}"#)
        case .wrongMessageID: append(#"{"error":{"code":400,"err_code":10070,"description":"wrong last msg ID: x"},"stream":"events","seq":0}"#)
        case .inProcess: append(#"{"error":{"code":409,"err_code":10158,"description":"duplicate message id is in process"},"stream":"events","seq":0}"#)
        case .noResponders: break
        }
    }

    private mutating func ack(_ stream: String, _ sequence: UInt64, isDuplicate: Bool) {
        append(#"{"stream":""#)
        bytes.append(contentsOf: stream.utf8)
        append(#"","seq":"#)
        append(sequence)
        if isDuplicate { append(#","duplicate":true"#) }
        bytes.append(UInt8(ascii: "}"))
    }

    private mutating func append(_ text: StaticString) {
        bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    private mutating func append(_ number: UInt64) { bytes.append(contentsOf: "\(number)".utf8) }
}

/// How things are called in all schedules.
enum Names {
    static let stream = "events"
    static let bucket = "slotstream"
    static let prefix = "e"
}
