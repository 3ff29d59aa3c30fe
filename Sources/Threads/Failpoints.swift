import Glibc
import Synchronization

/// Moments at which the fault tests end, freeze or stop the process from inside: the same one again and again, which a signal from outside meets by luck.
package enum Failpoint: String, CaseIterable, Sendable {
    /// Recovery has read both servers.
    case recovering
    /// The record has our name in it; nothing is published yet.
    case afterOwnership = "after_ownership"
    /// A message was handed to libnats.
    case afterSend = "after_send"
    /// Acks have come and are not looked at yet.
    case beforeAck = "before_ack"
    /// What was acknowledged has been let go of.
    case afterAck = "after_ack"
    /// The record is about to be put.
    case beforeRecord = "before_record"
    /// The record is stored; PostgreSQL does not know yet.
    case afterRecord = "after_record"
    /// A status that confirms is about to be sent.
    case beforeStatus = "before_status"
    /// It was sent.
    case afterStatus = "after_status"
    /// Sending is stopped, the stream's end is not read yet.
    case resynchronising
    /// The stream's end is read, nothing is sent again yet.
    case resynchronised
    /// A row was received.
    case reading
    /// Setup has changed the publication; nothing else is made yet.
    case afterPublication = "after_publication"
    /// Setup has made the stream.
    case afterStream = "after_stream"
    /// Setup has made the bucket.
    case afterBucket = "after_bucket"
    /// Setup's claim is in the bucket, the slot is not made yet.
    case afterClaim = "after_claim"
    /// The slot is made.
    case afterSlot = "after_slot"
    /// The first record is in the claim's place.
    case afterFirstRecord = "after_first_record"
    /// Setup has made the consumer: nothing is missing.
    case afterConsumer = "after_consumer"
    /// `slot advance` has dropped the slot that it replaces.
    case afterSlotDrop = "after_slot_drop"
    /// `slot advance` has moved the slot behind what cannot be sent; no marker is stored yet.
    case afterPassage = "after_passage"
    /// `slot advance` has stored its marker, and not the record.
    case afterGapMarker = "after_gap_marker"
    /// `slot advance` has put the record.
    case afterGapRecord = "after_gap_record"
    /// `skip` has put its decision into the record; no marker is stored yet.
    case afterSkipRecord = "after_skip_record"
    /// The anchor slot is made.
    case afterAnchor = "after_anchor"
    /// `replay` has stored some of its events.
    case afterReplayed = "after_replayed"
    /// `rewind` has dropped the live slot.
    case afterRewindDrop = "after_rewind_drop"
    /// `rewind` has put a copy of the anchor in the live slot's place.
    case afterRewindCopy = "after_rewind_copy"
    /// `mend` has stored its marker.
    case afterMarker = "after_marker"
    /// `mend` is about to store a late event.
    case beforeLate = "before_late"
    /// `mend` has stored the last late event, and not the record.
    case afterLate = "after_late"
    /// A backfill's table is watched in the stream; nothing of it is read yet.
    case tableTracked = "table_tracked"
    /// A chunk of a table's rows was read in its snapshot, and is not handed on yet.
    case chunkRead = "chunk_read"
    /// All rows of a chunk were handed on.
    case chunkPlaced = "chunk_placed"
    /// The observer worker is about to do an action.
    case beforeAction = "before_action"
    /// An attempt of an action has ended.
    case afterAction = "after_action"
    /// A dead letter is about to be stored.
    case beforeDeadLetter = "before_dead_letter"
    /// All actions of an event are done; the server does not know yet.
    case beforeEventAck = "before_event_ack"
}

/// What is done at which failpoint: nothing, unless the fault tests say so.
///
/// Not a setting: it is for whoever tests the guarantee, and whoever can set a process's environment can kill it too.
package final class Failpoints: Sendable {
    /// What a failpoint does to its own process.
    package enum Action: String, CaseIterable, Sendable {
        case kill, stop, terminate
        /// The thread never goes on.
        case hang
    }

    /// Said of a text that names no failpoint.
    package struct InvalidText: Error {
        package var text: String
    }

    /// The environment variable that holds their text.
    package static let variable = "SLOTSTREAM_FAILPOINT"
    package static let none = Failpoints(nil, .kill, pass: 1)

    private let point: Failpoint?
    private let action: Action
    /// Of passes through the point: at this one the action is taken, once.
    private let pass: Int
    private let passCount = Atomic<Int>(0)

    private init(_ point: Failpoint?, _ action: Action, pass: Int) {
        self.point = point
        self.action = action
        self.pass = pass
    }

    /// - Parameter text: `<failpoint>=<action>` or `<failpoint>=<action>:<pass>`, such as `after_ack=kill:12`.
    /// - Throws: ``InvalidText``.
    package convenience init(_ text: String) throws(InvalidText) {
        let sides = text.split(separator: "=", omittingEmptySubsequences: false)
        guard sides.count == 2, let point = Failpoint(rawValue: String(sides[0])) else { throw InvalidText(text: text) }
        let parts = sides[1].split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count <= 2, let action = Action(rawValue: String(parts[0])),
            let pass = parts.count == 1 ? 1 : Int(parts[1]), pass > 0
        else { throw InvalidText(text: text) }
        self.init(point, action, pass: pass)
    }

    /// To be called where the failpoint is; costs a comparison when it is not the one.
    package func reached(_ reached: Failpoint) {
        guard let point, point == reached else { return }
        guard passCount.add(1, ordering: .relaxed).newValue == pass else { return }
        switch action {
        case .kill: Glibc.kill(getpid(), SIGKILL)
        // To this thread: one that the process is sent is taken by another first, and this one goes on meanwhile.
        case .stop: raise(SIGSTOP)
        case .terminate: Glibc.kill(getpid(), SIGTERM)
        case .hang: while true { pause() }
        }
    }
}
