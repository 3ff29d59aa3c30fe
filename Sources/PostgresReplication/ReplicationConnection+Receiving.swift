import CLibPQ
public import WAL

/// What a handler of frames says after each.
@frozen
public enum FrameContinuation: Sendable {
    /// Give the next frame, if one has arrived.
    case proceed
    /// Take no other frame from libpq now.
    case stop
    /// The frame was not taken: stop, and give it again, before all others.
    case keep
}

/// Why `receiveFrames` returned.
public enum ReceiveOutcome: Sendable, Equatable {
    /// All that had arrived is delivered: wait for the socket to become readable.
    case drained
    /// A handler stopped, or gave its frame back, or the turn was long enough. More may lie in libpq, of which the socket says nothing: call again
    /// without waiting for the socket, as soon as there is room.
    case stopped
    /// The server ended the stream in order, with this command tag: it is shutting down. Close the connection.
    case ended(commandTag: String)
}

/// An error of `receiveFrames`: the connection's, or its handler's own.
public enum ReceiveError<HandlerError: Error>: Error {
    case postgres(PostgresError)
    case handler(HandlerError)
}

extension ReceiveError: Equatable where HandlerError: Equatable {}

extension ReplicationConnection {
    /// Delivers what has arrived, in order, without waiting.
    ///
    /// What libpq already holds comes first; only when that is delivered is the socket read, so that a handler that stops
    /// bounds what libpq holds, to one message and one read. libpq allocates and frees a buffer a frame; nothing else is
    /// allocated.
    /// - Parameters:
    ///   - onXLogData: Takes one pgoutput message: `walStart`, `walEnd`, the server's clock, and the bytes, which live as long
    ///     as the call.
    ///   - onKeepalive: Takes `walEnd`, the server's clock, and whether the server asks for a status now.
    /// - Throws: `.postgres` once all that had arrived before is delivered: `.server` when the server said why it ends
    ///   (57P01), `.connectionLost` when it did not; `.protocolViolation` for a frame that is neither. `.handler` at once; the
    ///   frame that it was given is gone.
    @inlinable
    public func receiveFrames<HandlerError: Error>(
        onXLogData: (
            _ walStart: LSN, _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ payload: RawSpan
        ) throws(HandlerError) -> FrameContinuation,
        onKeepalive: (
            _ walEnd: LSN, _ sendTime: PostgresTimestamp, _ replyRequested: Bool
        ) throws(HandlerError) -> FrameContinuation
    ) throws(ReceiveError<HandlerError>) -> ReceiveOutcome {
        var turn = ReceiveTurn()
        while true {
            let arrival: Arrival
            do throws(PostgresError) {
                arrival = try nextArrival(&turn)
            } catch {
                throw .postgres(error)
            }
            switch arrival {
            case .nothing: return .drained
            case .turnOver: return .stopped
            case .ended(let commandTag): return .ended(commandTag: commandTag)
            case .message(let bytes):
                var isKept = false
                defer {
                    if !isKept { Self.free(bytes) }
                }
                let frame: ReplicationFrame
                do throws(PostgresError) {
                    frame = try ReplicationFrame(bytes)
                } catch {
                    throw .postgres(error)
                }
                let continuation: FrameContinuation
                do throws(HandlerError) {
                    switch frame {
                    case .xlogData(let walStart, let walEnd, let sendTime):
                        let payload = UnsafeRawBufferPointer(
                            rebasing: bytes[ReplicationFrame.xlogDataHeadByteCount...])
                        continuation = try onXLogData(walStart, walEnd, sendTime, payload.bytes)
                    case .keepalive(let walEnd, let sendTime, let replyRequested):
                        continuation = try onKeepalive(walEnd, sendTime, replyRequested)
                    }
                } catch {
                    throw .handler(error)
                }
                switch continuation {
                case .proceed: break
                case .stop: return .stopped
                case .keep:
                    isKept = true
                    keep(bytes)
                    return .stopped
                }
            }
        }
    }

    /// How often one call has read the socket.
    @usableFromInline
    struct ReceiveTurn {
        var readCount = 0
        var readCountSinceMessage = 0

        @usableFromInline
        init() {}
    }

    @usableFromInline
    enum Arrival {
        /// One CopyData message, in memory of libpq's: give it to `free`.
        case message(UnsafeRawBufferPointer)
        case nothing
        case turnOver
        case ended(commandTag: String)
    }

    /// A fast server could keep one call for ever, and its caller's status updates waiting.
    private static var readLimit: Int { 64 }

    @usableFromInline
    func nextArrival(_ turn: inout ReceiveTurn) throws(PostgresError) -> Arrival {
        if let kept = stream.keptMessage {
            stream.keptMessage = nil
            return .message(kept)
        }
        while true {
            switch stream.phase {
            case .streaming: break
            case .ending: return try end()
            case .idle, .over: throw .connectionLost(message: "no stream is running")
            }
            var buffer: UnsafeMutablePointer<CChar>?
            let byteCount = PQgetCopyData(connection.handle, &buffer, 1)
            if byteCount > 0, let buffer {
                turn.readCountSinceMessage = 0
                return .message(UnsafeRawBufferPointer(start: buffer, count: Int(byteCount)))
            }
            switch byteCount {
            case 0:
                if let failure = stream.inputFailure {
                    stream.phase = .over
                    throw .connectionLost(message: failure)
                }
                // Until nothing more arrives: libpq reads 16 KiB at a time, of a plain socket and of TLS records alike. Over TLS the rest of
                // a record may lie in the library, of which poll(2) knows nothing: a record is 16 KiB at most and libpq reads at least 8 KiB
                // at a time, so that two reads without a message leave nothing behind.
                if turn.readCountSinceMessage >= (connection.isEncrypted ? 2 : 1) { return .nothing }
                if turn.readCount >= Self.readLimit { return .turnOver }
                turn.readCount += 1
                turn.readCountSinceMessage += 1
                if PQconsumeInput(connection.handle) == 0 {
                    // What arrived before the connection broke is whole, and comes first.
                    stream.inputFailure = LibPQConnection.lossMessage(connection.errorMessage)
                }
            case -1:
                stream.phase = .ending
            default:
                stream.phase = .over
                throw .connectionLost(message: LibPQConnection.lossMessage(connection.errorMessage))
            }
        }
    }

    /// Keeps a message for the next call; `StreamState` frees it if there is none.
    @usableFromInline
    func keep(_ bytes: UnsafeRawBufferPointer) { stream.keptMessage = bytes }

    @usableFromInline
    static func free(_ bytes: UnsafeRawBufferPointer) {
        PQfreemem(UnsafeMutableRawPointer(mutating: bytes.baseAddress))
    }

    /// Reads how the server ended the stream, once it has said so in full.
    private func end() throws(PostgresError) -> Arrival {
        for _ in 0..<2 where PQisBusy(connection.handle) == 1 && stream.inputFailure == nil {
            if PQconsumeInput(connection.handle) == 0 {
                stream.inputFailure = LibPQConnection.lossMessage(connection.errorMessage)
            }
        }
        if PQisBusy(connection.handle) == 1 && stream.inputFailure == nil { return .nothing }
        stream.phase = .over
        guard let pointer = PQgetResult(connection.handle) else {
            throw .connectionLost(message: LibPQConnection.lossMessage(connection.errorMessage))
        }
        let result = LibPQResult(pointer)
        switch result.status {
        case PGRES_COMMAND_OK: return .ended(commandTag: result.commandTag)
        // CopyDone: the server will send nothing more, and waits for our CopyDone.
        case PGRES_COPY_IN: return .ended(commandTag: "COPY")
        default: throw result.error(command: "START_REPLICATION")
        }
    }
}
