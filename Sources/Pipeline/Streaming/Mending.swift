import Capture
import History

/// What a mending delivery finds and stores. Touched by the delivery thread while it runs, read when that has ended.
///
/// Sendable because the thread's end orders what it wrote before what is read.
final class Mending: @unchecked Sendable {
    /// An event that the stream lacks, with all that is needed to store it.
    struct Missing {
        var id: MessageID
        var subject: [UInt8]
        var payload: [UInt8]
    }

    /// Bytes of missing events that are held at most: many times what can be in flight.
    static let byteLimit = 256 << 20

    let acceptedBy: String
    let isDryRun: Bool
    /// The stream holds a later one.
    private(set) var missing: [Missing] = []
    /// They follow the last one that the stream holds, as far as it is compared: perhaps they are only still to come.
    private var following: [Missing] = []
    private(set) var missingByteCount = 0
    /// Messages with ids of ours that the slot does not decode: believed to be somebody else's.
    var undecoded: [StreamComparison.Stored] = []
    /// Somebody else's before the first hole.
    private(set) var stray: Stray?
    /// Messages that were deleted before they were compared.
    var deleted: ClosedRange<UInt64>?
    var markerSequence: UInt64?
    /// All is stored, and the record put.
    var isDone = false

    init(acceptedBy: String, isDryRun: Bool) {
        self.acceptedBy = acceptedBy
        self.isDryRun = isDryRun
    }

    /// Forgets what an attempt found: the next one finds it again.
    func begin() {
        missing = []
        following = []
        missingByteCount = 0
        undecoded = []
        stray = nil
        deleted = nil
        markerSequence = nil
    }

    /// An event was decoded that does not stand where the stream goes on.
    func add(_ event: Missing) {
        following.append(event)
        missingByteCount += event.subject.count + event.payload.count
    }

    /// A later event stands there: those before it are missing.
    /// - Parameter stray: Somebody else's message before it.
    func foundLater(_ stray: Stray?) {
        guard !following.isEmpty else { return }
        if missing.isEmpty { self.stray = stray }
        missing += following
        following = []
    }

    /// Whether there is anything to mend.
    var isNeeded: Bool { !missing.isEmpty || !undecoded.isEmpty || deleted != nil }
}
