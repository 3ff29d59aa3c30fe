import Foundation
import PostgresReplication
import WAL

/// What a test receives, with each frame's facts kept.
struct StreamReader: ~Copyable {
    struct Failure: Error, Equatable {}

    enum Frame: Equatable {
        case xlogData(walStart: LSN, walEnd: LSN, tag: Character, byteCount: Int)
        case keepalive(walEnd: LSN, replyRequested: Bool)

        /// pgoutput's message type; nil for a keepalive.
        var tag: Character? {
            guard case .xlogData(_, _, let tag, _) = self else { return nil }
            return tag
        }
    }

    var connection: ReplicationConnection
    var frames: [Frame] = []
    /// The largest position that the server has said.
    var receivedLSN = LSN.invalid
    var lastServerClock = PostgresTimestamp(0)

    init(_ connection: consuming ReplicationConnection) {
        self.connection = connection
    }

    var tags: String { String(frames.compactMap(\.tag)) }

    /// One turn; stops after frame `limit` of this turn, and throws at message `failing` of all.
    mutating func receive(limit: Int = .max, failAt failing: Int = .max) throws(ReceiveError<Failure>) -> ReceiveOutcome
    {
        var count = 0
        var messageCount = tags.count
        var received: [Frame] = []
        var furthest = receivedLSN
        var clock = lastServerClock
        defer {
            frames += received
            receivedLSN = furthest
            lastServerClock = clock
        }
        return try connection.receiveFrames(
            onXLogData: { walStart, walEnd, sendTime, payload throws(Failure) in
                count += 1
                messageCount += 1
                if messageCount == failing { throw Failure() }
                let tag = Character(Unicode.Scalar(payload.unsafeLoad(fromByteOffset: 0, as: UInt8.self)))
                received.append(.xlogData(walStart: walStart, walEnd: walEnd, tag: tag, byteCount: payload.byteCount))
                furthest = max(furthest, walEnd)
                clock = sendTime
                return count < limit ? .proceed : .stop
            },
            onKeepalive: { walEnd, sendTime, replyRequested throws(Failure) in
                count += 1
                received.append(.keepalive(walEnd: walEnd, replyRequested: replyRequested))
                furthest = max(furthest, walEnd)
                clock = sendTime
                return count < limit ? .proceed : .stop
            })
    }

    /// One turn that gives the first message back; whether one came, and its tag.
    mutating func giveBack() throws(ReceiveError<Failure>) -> Character? {
        var tag: Character?
        _ = try connection.receiveFrames(
            onXLogData: { _, _, _, payload throws(Failure) in
                tag = Character(Unicode.Scalar(payload.unsafeLoad(fromByteOffset: 0, as: UInt8.self)))
                return .keep
            },
            onKeepalive: { _, _, _ throws(Failure) in .proceed })
        return tag
    }

    /// Waits up to 50 ms for the socket, then one turn.
    mutating func waitAndReceive() throws(ReceiveError<Failure>) -> ReceiveOutcome {
        var descriptor = pollfd(fd: connection.socket, events: Int16(POLLIN), revents: 0)
        poll(&descriptor, 1, 50)
        return try receive()
    }
}
