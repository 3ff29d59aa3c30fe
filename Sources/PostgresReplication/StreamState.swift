import CLibPQ
import WAL

/// What a walsender session remembers of its stream.
///
/// A class, so that a status can be sent from inside a handler of frames, which runs in the middle of receiving.
final class StreamState {
    enum Phase {
        /// Takes commands.
        case idle
        case streaming
        /// The server ended the stream; how is still to be read.
        case ending
        /// The stream is over, and with it the session.
        case over
    }

    var phase = Phase.idle
    /// libpq holds bytes that the socket has not taken.
    var hasUnsentBytes = false
    /// The newest status, kept back because the one before it is not sent yet; older ones say less and are dropped.
    var waitingStatus: StandbyStatus?
    /// Why reading failed. Thrown once what had arrived before is delivered.
    var inputFailure: String?
    /// A message of libpq's that a handler gave back: the next to be delivered.
    var keptMessage: UnsafeRawBufferPointer?

    deinit {
        if let keptMessage { PQfreemem(UnsafeMutableRawPointer(mutating: keptMessage.baseAddress)) }
    }
}

/// What a streamer tells the server about its progress.
struct StandbyStatus: Equatable {
    var writtenLSN: LSN
    var flushedLSN: LSN
    var appliedLSN: LSN
    var replyRequested: Bool

    /// Shape: `r`, written, flushed, applied (8 bytes each), clock (microseconds since 2000, 8 bytes), reply requested (1 byte).
    /// Source: PostgreSQL, "Streaming Replication Protocol", Standby status update.
    func message(at now: PostgresTimestamp) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "r")]
        bytes.reserveCapacity(34)
        for value in [writtenLSN.rawValue, flushedLSN.rawValue, appliedLSN.rawValue, UInt64(bitPattern: now.rawValue)] {
            withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
        }
        bytes.append(replyRequested ? 1 : 0)
        return bytes
    }
}
