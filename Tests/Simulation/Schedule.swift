/// What a schedule is made of, chosen by its seed: few kinds of faults each time, so that each meets the others.
struct Schedule {
    /// What can befall the streamer and its servers.
    enum Fault: Int, CaseIterable {
        /// The streamer's process is killed, at a step of its own or between two.
        case kill
        /// It is frozen, for longer than PostgreSQL waits, and goes on when another has taken over.
        case freeze
        /// It is asked to end in order.
        case stop
        /// Its link to NATS breaks.
        case breakLink
        /// An answer of JetStream's is lost.
        case loseReply
        /// It comes twice.
        case doubleReply
        /// Another stream answers too.
        case otherStream
        /// Somebody else publishes to the stream.
        case stray
        /// Somebody stores an old message of ours again.
        case echo
        /// nats-server begins anew.
        case restartNATS
        /// It begins anew without its last messages.
        case loseTail
        /// It has also lost the record's last versions.
        case loseTailAndRecord
        /// The stream has another leader.
        case changeLeader
        /// An old leader answers for a while.
        case staleLeader
        /// Retention takes what is old.
        case retire
        /// PostgreSQL begins anew, and the slot falls back.
        case restartPostgres
        /// Its connections break.
        case breakWalsender
        /// A standby takes over that lacks the last transactions.
        case failOver
        /// It is restored from an older state.
        case restore
    }

    var version: ModelJetStream.Version
    var duplicateWindow: UInt64
    /// Pieces of WAL that are written.
    var workCount: Int
    /// Faults that happen, at most.
    var faultCount: Int
    private var enabled: UInt32 = 0
    var inFlightLimit: Int
    var checkpointInterval: UInt64
    /// Of three rows so many are of the table without events.
    var hidesRows: Bool
    var hasMessages: Bool
    /// The server's name goes with each message: what is in flight names what is before it.
    var namesPrevious: Bool
    /// In one of so many calls of the program's others have their turn.
    var restInterval: Int

    init(_ random: inout Random) {
        version = ModelJetStream.Version.allCases[random.below(ModelJetStream.Version.allCases.count)]
        duplicateWindow = [50_000_000, 1_000_000_000, 120_000_000_000][random.below(3)]
        workCount = random.within(3...9)
        faultCount = random.within(1...5)
        inFlightLimit = [1, 2, 8, 64][random.below(4)]
        checkpointInterval = [0, 5_000_000, 200_000_000][random.below(3)]
        hidesRows = random.once(in: 3)
        hasMessages = random.once(in: 3)
        namesPrevious = !version.isReplicated && random.once(in: 2)
        restInterval = random.within(1...4)
        // A few kinds, each as likely; what cannot be survived in few of them.
        for _ in 0..<random.within(1...4) {
            let fault = Fault.allCases[random.below(Fault.allCases.count)]
            if Self.isGrave(fault), !random.once(in: 2) { continue }
            if Self.needsReplicas(fault), !version.isReplicated { continue }
            if Self.needsNoReplicas(fault), version.isReplicated { continue }
            enable(fault)
        }
        // Nothing can be told of a tail that was lost together with what retention took.
        if allows(.retire) {
            disable(.loseTail)
            disable(.loseTailAndRecord)
        }
        // Of a server that was restored on its timeline a message outside transactions is told from one of before by nothing.
        if allows(.restore) {
            hasMessages = false
            disable(.staleLeader)
        }
        // Where an old leader hides what is stored, only the duplicate window stands between a stray's number and sending twice.
        if allows(.staleLeader) { duplicateWindow = 120_000_000_000 }
        if enabled == 0 { enable(.kill) }
    }

    mutating func enable(_ fault: Fault) { enabled |= 1 << UInt32(fault.rawValue) }
    mutating func disable(_ fault: Fault) { enabled &= ~(1 << UInt32(fault.rawValue)) }
    func allows(_ fault: Fault) -> Bool { enabled & (1 << UInt32(fault.rawValue)) != 0 }

    /// All that may happen in it.
    var faults: [Fault] { Fault.allCases.filter(allows) }

    private static func isGrave(_ fault: Fault) -> Bool {
        [.loseTail, .loseTailAndRecord, .failOver, .restore].contains(fault)
    }

    private static func needsReplicas(_ fault: Fault) -> Bool { [.changeLeader, .staleLeader].contains(fault) }

    private static func needsNoReplicas(_ fault: Fault) -> Bool { [.loseTail, .loseTailAndRecord, .restartNATS].contains(fault) }
}
