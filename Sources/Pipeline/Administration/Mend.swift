import Capture
package import History
package import Logging
package import Threads
import WAL

/// The way on behind a hole, or behind a message with a forged id: stores the missing events late, with a marker before them.
///
/// In an order that can be repeated: the marker, the events, then the record; a streamer stops with 76 until the record is put.
package enum Mend {
    /// What was missing, and where it is now.
    package struct Outcome: Sendable, Equatable {
        /// Message ids of the missing events, in their order.
        package var missing: [String]
        /// Sequences of messages whose ids look like ours, and are not.
        package var forged: [UInt64]
        /// Messages that were deleted before anybody knew what they were, by sequence.
        package var deleted: ClosedRange<UInt64>?
        /// Of the marker; nil: a dry run, or nothing was to be mended.
        package var markerSequence: UInt64?

        /// Whether there was anything to mend.
        package var isNeeded: Bool { !missing.isEmpty || !forged.isEmpty || deleted != nil }
    }

    /// Attempts, where somebody else writes all the while.
    private static let attemptLimit = 20
    /// A streamer that supervisors start again and again leaves the slot between two attempts.
    private static let slotWait = Duration.seconds(30)

    /// Connects to both servers, compares what the stream holds behind what is proven with what the slot decodes, and stores what is missing.
    /// - Parameter failpoints: For the fault tests.
    /// - Throws: `.slotActive` while a streamer runs; what cannot be mended with its own reason and remedy.
    package static func run(
        _ configuration: StreamerConfiguration, acceptance: Acceptance, failpoints: Failpoints = .none, logger: Logger
    ) throws(StreamerError) -> Outcome {
        let mending = Mending(acceptedBy: acceptance.acceptedBy, isDryRun: acceptance.isDryRun)
        let streamer = try Streamer(configuration, mending: mending, failpoints: failpoints, logger: logger)
        let deadline = Instant.now + slotWait
        var attemptCount = 0
        while !mending.isDone {
            mending.begin()
            do throws(StreamerError) {
                var former = FormerHolder()
                try streamer.runSession(streamer.slotWatch(), streamer.tableDescriber(), &former)
            } catch {
                if mending.isDone { break }
                switch error {
                case .slotActive where Instant.now < deadline: streamer.pause(.milliseconds(200))
                case .streamMoved where attemptCount < attemptLimit, .checkpointConflict where attemptCount < attemptLimit:
                    attemptCount += 1
                default: throw error
                }
            }
        }
        return Outcome(
            missing: mending.missing.map(\.id.description), forged: mending.undecoded.map(\.sequence),
            deleted: mending.deleted, markerSequence: mending.markerSequence)
    }
}
