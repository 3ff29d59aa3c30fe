import WAL

/// A JetStream with one stream and the bucket of the record: what it stores, refuses, forgets and loses.
///
/// It goes by what each version does: in which order it looks at id and sequence, what it says of an id that it has staged.
final class ModelJetStream {
    /// Whose rules it goes by.
    enum Version: CaseIterable {
        /// 2.9 to 2.11, one replica: the id first.
        case oldAlone
        /// 2.12 and newer, one replica: the sequence first.
        case newAlone
        /// 2.10 and 2.11, three replicas: an id that was refused stays staged, and its message is called a duplicate.
        case staging
        /// 2.12 and newer, three replicas.
        case replicated

        var isReplicated: Bool { self == .staging || self == .replicated }
    }

    /// A stored message.
    struct Stored {
        /// What it is of: a change of the model's, or none of ours.
        var number: Int?
        /// Its `Nats-Msg-Id`, of one that is no event of a change.
        var id: [UInt8] = []
        var storedAt: UInt64
        /// Somebody else's, or a message of ours that came so late that nobody knows of it any more.
        var isEcho = false
    }

    /// What a server knows; an old leader has an old one.
    struct State {
        /// The message with sequence `n` is the one at `n - 1`.
        var messages: [Stored] = []
        var firstSequence: UInt64 = 1
        /// The record's text and revision.
        var record: [UInt8] = []
        var revision: UInt64 = 0

        var lastSequence: UInt64 { UInt64(messages.count) }

        /// nil: it is not there.
        func message(_ sequence: UInt64) -> Stored? {
            guard sequence >= firstSequence, sequence <= lastSequence, sequence > 0 else { return nil }
            return messages[Int(sequence - 1)]
        }
    }

    unowned let world: World
    let version: Version
    let duplicateWindow: UInt64
    /// As its leader has it.
    private(set) var state = State()
    /// What an old leader has that does not know yet that it is none; answers come from it until then.
    private var oldState: State?
    private var oldStateUntil: UInt64 = 0
    /// Ids whose messages were refused, or are believed to be under way.
    private var staged: [(number: Int, until: UInt64)] = []
    /// There is no leader until then: nothing is taken, nothing answered.
    var leaderlessUntil: UInt64 = 0
    /// Before it everything that was not stored is forgotten: a server begins anew with what is on disk.
    private var rememberedFrom: UInt64 = 0
    /// What stood at each sequence first.
    private var firstNumbers: [Int?] = [nil]
    /// Earlier versions of the record: what is lost is lost from the end.
    private var recordHistory: [(text: [UInt8], revision: UInt64)] = []

    init(_ world: World, _ version: Version, duplicateWindow: UInt64) {
        self.world = world
        self.version = version
        self.duplicateWindow = duplicateWindow
    }

    var hasLeader: Bool { world.now >= leaderlessUntil }

    /// What whoever asks is told from.
    var answering: State {
        if let oldState, world.now < oldStateUntil { return oldState }
        return state
    }

    /// Whether an old leader answers.
    var isStale: Bool { oldState != nil && world.now < oldStateUntil }

    // MARK: - Publishing

    /// Takes a message. Somebody else's goes without conditions.
    func publish(_ message: Publish) -> Answer {
        switch message.content {
        case .record(let text, let expectedRevision): return put(text, expectedRevision, message)
        case .change(let number): return store(number, message)
        }
    }

    private func store(_ number: Int, _ message: Publish) -> Answer {
        let last = state.lastSequence
        let isWrongSequence = message.expectedSequence.map { $0 != last } ?? false
        switch version {
        case .oldAlone:
            if let sequence = known(number) { return .duplicate(sequence) }
            if isWrongSequence { return .wrongSequence(last) }
        case .newAlone:
            if isWrongSequence { return .wrongSequence(last) }
            if let sequence = known(number) { return .duplicate(sequence) }
        case .staging:
            if let sequence = known(number) { return .duplicate(sequence) }
            if staged.contains(where: { $0.number == number && $0.until > world.now }) {
                return world.random.once(in: 2) ? .duplicate(0) : .inProcess
            }
            if isWrongSequence {
                if world.random.once(in: 2) { staged.append((number, world.now + duplicateWindow)) }
                return .wrongSequence(last)
            }
        case .replicated:
            if let sequence = known(number) { return .duplicate(sequence) }
            if isWrongSequence { return .wrongSequence(last) }
        }
        if let previous = message.previousNumber, !isLast(previous) { return .wrongMessageID }
        append(Stored(number: number, storedAt: world.now))
        world.oracle.stored(number, at: state.lastSequence, by: message)
        return .stored(state.lastSequence)
    }

    /// The sequence of the change's event, if the stream remembers its id.
    private func known(_ number: Int) -> UInt64? {
        let oldest = world.now > duplicateWindow ? world.now - duplicateWindow : 0
        for index in state.messages.indices.reversed() {
            let message = state.messages[index]
            guard message.storedAt >= oldest else { return nil }
            guard message.number == number else { continue }
            // A server that began anew reads ids from what is there.
            guard message.storedAt >= rememberedFrom || UInt64(index + 1) >= state.firstSequence else { continue }
            return UInt64(index + 1)
        }
        return nil
    }

    private func isLast(_ number: Int) -> Bool {
        guard let last = state.messages.last else { return false }
        // Old servers read it from the ids of the window, when they begin anew.
        if version == .oldAlone, last.storedAt < rememberedFrom, last.storedAt + duplicateWindow < rememberedFrom { return false }
        return last.number == number
    }

    /// The message there is one that was stored before.
    func markEcho(_ sequence: UInt64) { state.messages[Int(sequence - 1)].isEcho = true }

    /// As setup leaves it.
    func begin() {
        state.record = Settings.firstRecord(world.schedule, at: LSN(world.server.confirmed))
        state.revision = 1
    }

    /// The change whose event stood there first, whatever became of it.
    func firstNumber(at sequence: UInt64) -> Int? { firstNumbers.indices.contains(Int(sequence)) ? firstNumbers[Int(sequence)] : nil }

    private func append(_ message: Stored) {
        state.messages.append(message)
        if firstNumbers.count < state.messages.count + 1 { firstNumbers.append(message.number) }
    }

    // MARK: - Somebody else

    /// Somebody else stores a message.
    func stray() {
        append(Stored(number: nil, storedAt: world.now))
        world.tell { "a stray takes sequence \(state.lastSequence)" }
    }

    /// Somebody stores one of our messages again.
    func echo() {
        guard state.firstSequence <= state.lastSequence else { return }
        let index = Int(state.firstSequence) - 1 + world.random.below(state.messages.count - Int(state.firstSequence) + 1)
        guard let number = state.messages[index].number, known(number) == nil else { return }
        append(Stored(number: number, storedAt: world.now, isEcho: true))
        world.tell { "somebody stores change \(number) again, sequence \(state.lastSequence)" }
    }

    // MARK: - The record

    private func put(_ text: [UInt8], _ expectedRevision: UInt64?, _ message: Publish) -> Answer {
        if let expectedRevision, expectedRevision != state.revision { return .wrongSequence(state.revision) }
        recordHistory.append((state.record, state.revision))
        state.record = text
        state.revision += 1
        world.oracle.recorded(text, by: message)
        world.tell { "record \(state.revision): \(RecordText.confirmed(in: text).map { "\(LSN($0))" } ?? "?")" }
        return .stored(state.revision)
    }

    // MARK: - What befalls it

    /// Its server ends and begins anew; messages from the end may be lost with it, and with them the record's last versions.
    func restart(losing count: Int, recordVersions: Int) {
        let kept = max(state.messages.count - count, Int(state.firstSequence) - 1)
        let lost = state.messages[kept...]
        state.messages.removeSubrange(kept...)
        world.oracle.lost(from: UInt64(kept + 1), lost)
        for _ in 0..<recordVersions {
            guard recordHistory.count > 1, let earlier = recordHistory.popLast() else { break }
            state.record = earlier.text
            state.revision = earlier.revision
            world.hasLostRecord = true
        }
        rememberedFrom = world.now
        staged.removeAll()
        oldState = nil
        world.tell { "nats-server restarts: it loses \(lost.count) messages, \(recordVersions) versions of the record; last sequence \(state.lastSequence)" }
    }

    /// Another replica leads; for a while there is none.
    func changeLeader(_ pause: UInt64) {
        staged.removeAll()
        leaderlessUntil = world.now + pause
        world.tell { "another leader, after \(pause / 1_000_000) ms" }
    }

    /// The leader of now falls asleep: what it has is told again when it wakes.
    func rememberForStaleness() { oldState = state }

    /// It wakes, and believes that it leads.
    func wakeOldLeader(_ time: UInt64) {
        guard oldState != nil else { return }
        oldStateUntil = world.now + time
        world.tell { "an old leader answers for \(time / 1_000_000) ms: last sequence \(oldState?.lastSequence ?? 0), record \(oldState?.revision ?? 0)" }
    }

    var hasOldLeader: Bool { oldState != nil }

    func forgetOldLeader() { oldState = nil }

    /// Retention takes messages from the front.
    ///
    /// It stops at a stray that nobody has compared: once that is gone, nobody can tell it from an event, and a hole before it is not seen. That is a limit of
    /// the guarantee, which setup's demands on retention keep far away.
    func retire(through sequence: UInt64) {
        let known = RecordText.lastSequence(in: state.record) ?? 0
        while state.firstSequence <= min(sequence, state.lastSequence) {
            let first = state.firstSequence
            let message = state.messages[Int(first) - 1]
            if first > known, message.number == nil || message.isEcho { break }
            state.firstSequence += 1
        }
        world.tell { "retention takes everything up to sequence \(state.firstSequence - 1)" }
    }

    /// Forgets what was staged: the model's calm.
    func calmDown() {
        staged.removeAll()
        oldState = nil
        leaderlessUntil = 0
    }
}

/// A message on its way to JetStream.
struct Publish {
    enum Content {
        case change(Int)
        case record([UInt8], expectedRevision: UInt64?)
    }

    var content: Content
    /// `Nats-Expected-Last-Sequence`.
    var expectedSequence: UInt64?
    /// `Nats-Expected-Last-Msg-Id`.
    var previousNumber: Int?
    var token: UInt64 = 0
    var epoch: UInt32 = 0
    /// The event was stored already when it was sent.
    var wasStored = false
    /// Its sender is gone, or has lost the connection.
    var isLate = false
    /// The process that sent it, and which of the server's histories it went by.
    var sender = 0
    var historyNumber = 0
}

/// What JetStream answers.
enum Answer: Equatable {
    case stored(UInt64)
    case duplicate(UInt64)
    case wrongSequence(UInt64)
    case wrongMessageID
    case inProcess
    case noResponders
    /// Another stream has taken it too.
    case otherStream(UInt64)
}

/// What the model reads of the record, by looking for the member's name.
enum RecordText {
    static func confirmed(in text: [UInt8]) -> UInt64? {
        value(of: "\"confirmed_lsn\":\"", in: text).flatMap { LSN(String(decoding: $0, as: UTF8.self)) }?.rawValue
    }

    static func lastSequence(in text: [UInt8]) -> UInt64? { number(of: "\"last_sequence\":", in: text) }

    private static func number(of key: StaticString, in text: [UInt8]) -> UInt64? {
        value(of: key, in: text).flatMap { UInt64(String(decoding: $0.prefix { $0 >= 0x30 && $0 <= 0x39 }, as: UTF8.self)) }
    }

    static func owner(in text: [UInt8]) -> [UInt8]? { value(of: "\"owner\":\"", in: text).map(Array.init) }

    private static func value(of key: StaticString, in text: [UInt8]) -> ArraySlice<UInt8>? {
        let key = UnsafeBufferPointer(start: key.utf8Start, count: key.utf8CodeUnitCount)
        guard text.count > key.count else { return nil }
        for start in 0...(text.count - key.count) where text[start] == key[0] && text[start...].starts(with: key) {
            return text[(start + key.count)...].prefix { $0 != UInt8(ascii: "\"") }
        }
        return nil
    }
}
