import Capture

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
    /// Messages of others that are named in the marker.
    static let strayLimit = 100

    let acceptedBy: String
    let isDryRun: Bool
    var missing: [Missing] = []
    var missingByteCount = 0
    /// Messages with ids of ours that the slot does not decode: believed to be somebody else's.
    var undecoded: [StreamComparison.Stored] = []
    /// Somebody else's, the first ones.
    var strays: [(sequence: UInt64, subject: String)] = []
    /// Sequences of late events, those of an earlier, interrupted run included.
    var lateCount = 0
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
        missingByteCount = 0
        undecoded = []
        strays = []
        lateCount = 0
        markerSequence = nil
    }

    /// Whether there is anything to mend.
    var isNeeded: Bool { !missing.isEmpty || !undecoded.isEmpty }
}
