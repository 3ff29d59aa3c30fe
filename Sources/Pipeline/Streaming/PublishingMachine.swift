import Threads
import WAL

/// What a publisher does next: one state, and what each thing that happens makes of it. A value without effects: told what happened, it answers what is to be done.
///
/// ```
/// settling ──▶ reading ──▶ comparing ──▶ publishing        of a mend:  comparing ──▶ mending ──▶ ended
///    │           ▲  │          │             │
///    └▶ resting ─┘◀─┘          └─── trouble ─┴──▶ settling
/// ```
struct PublishingMachine: Equatable {
    /// How what was sent last was sent: which answers come, and what may follow before they have come.
    enum Flight: Equatable {
        /// Each message by itself, one behind the other.
        case chained
        /// As one atomic batch, which has one answer.
        case atomicBatch
        /// The first message of a fast batch: the others follow its answer.
        case fastBatchStarting
        /// `base`: the stream's last sequence before the fast batch; `count`: messages of it that are sent.
        case fastBatch(base: UInt64, count: UInt64)
        /// All of a fast batch, and that it ends: its last answer proves all.
        case fastBatchEnding
    }

    /// What is done now.
    enum State: Equatable {
        /// Nothing is sent: what is in flight is answered, or its time passes.
        case settling(Flight, ResynchronisationCause)
        /// Nothing was stored since the last attempt, or the stream cannot be read or believed yet: nothing is done until then.
        case resting(until: Instant, ResynchronisationCause)
        /// The stream is read behind what is proven, as soon as there is a connection.
        case reading(ResynchronisationCause)
        /// What was read is compared with what comes out of the window.
        case comparing
        /// All that is stored is known: what comes out of the window is sent.
        case publishing(Flight)
        /// `mend` stores what is missing.
        case mending
        /// Nothing more.
        case ended
    }

    /// What is to be done because of what happened.
    enum Action: Equatable {
        case none
        /// What is in flight is waited for; what the trouble is, is told.
        case settle
        /// The time that was given is waited for.
        case rest
        case read
        case compare
        case publish
        case mend
        case end
    }

    private(set) var state = State.settling(.chained, .start)
    /// Attempts since something was stored or compared.
    private(set) var attemptCount = 1

    /// Whether an attempt has come to nothing.
    var isFruitless: Bool { attemptCount > 1 }

    /// Whether nothing stands between what is appended and its being sent.
    var isPublishing: Bool { if case .publishing = state { true } else { false } }

    /// How what was sent last was sent.
    var flight: Flight {
        switch state {
        case .publishing(let flight), .settling(let flight, _): flight
        case .resting, .reading, .comparing, .mending, .ended: .chained
        }
    }

    // MARK: - Trouble, and the way out of it

    /// Something happened after which it is not known what is stored: a refusal, silence, another connection.
    mutating func troubled(_ cause: ResynchronisationCause) -> Action {
        switch state {
        case .publishing(let flight): return settle(flight, cause)
        case .comparing: return settle(.chained, cause)
        // It is read anyway: what comes before that is told by what is read.
        case .settling, .resting, .reading: return .none
        // What it stores is chained: another attempt finds what was stored.
        case .mending, .ended: return .none
        }
    }

    private mutating func settle(_ flight: Flight, _ cause: ResynchronisationCause) -> Action {
        state = .settling(flight, cause)
        attemptCount += 1
        return .settle
    }

    /// No answer can be expected any more.
    /// - Parameter end: Until when the next attempt waits; nil: it does not.
    mutating func settled(restingUntil end: Instant?) -> Action {
        switch state {
        case .settling(_, let cause):
            guard let end else {
                state = .reading(cause)
                return .read
            }
            state = .resting(until: end, cause)
            return .rest
        case .resting, .reading, .comparing, .publishing, .mending, .ended: return .none
        }
    }

    /// The time is over.
    mutating func rested() -> Action {
        switch state {
        case .resting(_, let cause):
            state = .reading(cause)
            return .read
        case .settling, .reading, .comparing, .publishing, .mending, .ended: return .none
        }
    }

    /// The stream could not be read, or what was read is not believed yet.
    /// - Parameter end: When it is read again.
    mutating func readInVain(restingUntil end: Instant) -> Action {
        switch state {
        case .reading(let cause):
            state = .resting(until: end, cause)
            return .rest
        case .settling, .resting, .comparing, .publishing, .mending, .ended: return .none
        }
    }

    /// What stands behind what is proven is known, or the beginning of it.
    /// - Parameter hasStrays: Somebody else's messages are in it: what they refused was no fault of ours or of JetStream's, and no time is lost.
    mutating func wasRead(hasStrays: Bool) -> Action {
        switch state {
        case .reading:
            state = .comparing
            if hasStrays { attemptCount = 0 }
            return .compare
        case .settling, .resting, .comparing, .publishing, .mending, .ended: return .none
        }
    }

    /// Everything that was read is compared.
    mutating func wasCompared(isMending: Bool) -> Action {
        switch state {
        case .comparing:
            state = isMending ? .mending : .publishing(.chained)
            return isMending ? .mend : .publish
        case .settling, .resting, .reading, .publishing, .mending, .ended: return .none
        }
    }

    /// All that was missing is stored.
    mutating func mended() -> Action {
        switch state {
        case .mending:
            state = .ended
            return .end
        case .settling, .resting, .reading, .comparing, .publishing, .ended: return .none
        }
    }

    /// Something is known to be stored that was not: acknowledged, or found where it had to be.
    mutating func stored() { attemptCount = 0 }

    // MARK: - Sending

    /// Messages were handed to the client, so.
    mutating func sent(_ flight: Flight) {
        switch state {
        case .publishing: state = .publishing(flight)
        case .settling, .resting, .reading, .comparing, .mending, .ended: break
        }
    }

    /// The first message of the fast batch behind `base` is stored, or on its way: the others may follow.
    mutating func fastBatchStarted(base: UInt64) {
        switch state {
        case .publishing(.fastBatchStarting): state = .publishing(.fastBatch(base: base, count: 1))
        case .publishing(.chained), .publishing(.atomicBatch), .publishing(.fastBatch), .publishing(.fastBatchEnding): break
        case .settling, .resting, .reading, .comparing, .mending, .ended: break
        }
    }

    /// All of the fast batch is proven.
    mutating func fastBatchEnded() {
        switch state {
        case .publishing(.fastBatchStarting), .publishing(.fastBatch), .publishing(.fastBatchEnding):
            state = .publishing(.chained)
        case .publishing(.chained), .publishing(.atomicBatch): break
        // One that was refused ends early: that it was one tells that nothing else of it is stored.
        case .settling, .resting, .reading, .comparing, .mending, .ended: break
        }
    }
}
