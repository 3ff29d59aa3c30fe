import WAL

/// A replication connection: what the server has sent and the streamer has not read, and the statuses on their way back.
final class Walsender {
    enum Frame {
        case data(at: UInt64, [UInt8])
        case keepalive(UInt64, isReplyRequested: Bool)
    }

    /// So much lies in the socket before the server waits.
    private static let queueLimit = 12

    let pid: Int32
    unowned let server: ModelServer
    /// The strand that reads.
    private weak var reader: Strand?
    /// The server's side: it still sends. What was sent before it ended can be read.
    var isOpen = true
    private(set) var queue: [Frame] = []
    private var queueStart = 0
    private var statuses: [(written: UInt64, flushed: UInt64)] = []
    private var statusStart = 0
    /// What decoding begins with; where it is.
    private let startLSN: UInt64
    private var recordIndex = 0
    private var frameIndex = 0
    private(set) var sentLSN: UInt64
    private var isDescribed = false
    /// What the streamer said it has received, and when it said anything.
    private var written: UInt64 = 0
    private var keptAliveLSN: UInt64 = 0
    private(set) var heardAt: UInt64
    /// Which of the server's histories it sends.
    let historyNumber: Int

    init(_ server: ModelServer, pid: Int32, from startLSN: UInt64, reader: Strand) {
        self.server = server
        self.pid = pid
        self.startLSN = startLSN
        self.reader = reader
        sentLSN = startLSN
        heardAt = server.world.now
        historyNumber = server.historyNumber
    }

    /// It holds no memory of anybody.
    func wake() { reader?.isSignalled = true }

    // MARK: - The server's side

    /// Whether it has something to send.
    var canSend: Bool {
        guard isOpen, queue.count - queueStart < Self.queueLimit else { return false }
        let reached = max(sentLSN, server.end)
        return recordIndex < server.records.count || (reached > written && keptAliveLSN != reached)
    }

    /// Sends the next message, or, where there is none, how far it has come.
    func send() {
        while recordIndex < server.records.count {
            let record = server.records[recordIndex]
            guard record.start >= startLSN, record.kind != .noise else {
                pass(record)
                continue
            }
            if record.kind == .transaction, !isDescribed, frameIndex == 1 {
                // Before the first row.
                isDescribed = true
                for description in ModelTables.descriptions { queue.append(.data(at: 0, description)) }
            }
            queue.append(.data(at: record.end, record.frames[frameIndex]))
            frameIndex += 1
            if frameIndex == record.frames.count { pass(record) }
            return wake()
        }
        sentLSN = max(sentLSN, server.end)
        keepAlive(isReplyRequested: false)
    }

    private func pass(_ record: ModelServer.Record) {
        sentLSN = max(sentLSN, record.end)
        recordIndex += 1
        frameIndex = 0
    }

    func keepAlive(isReplyRequested: Bool) {
        keptAliveLSN = sentLSN
        queue.append(.keepalive(sentLSN, isReplyRequested: isReplyRequested))
        wake()
    }

    var hasStatus: Bool { statusStart < statuses.count }

    /// Takes the next status that has come.
    func takeStatus() {
        let status = statuses[statusStart]
        statusStart += 1
        guard isOpen else { return }
        heardAt = server.world.now
        written = max(written, status.written)
        if status.flushed > 0 { server.confirm(status.flushed) }
    }

    // MARK: - The streamer's side

    var hasArrived: Bool { queueStart < queue.count || !isOpen }

    func next() -> Frame? {
        guard queueStart < queue.count else {
            queue.removeAll(keepingCapacity: true)
            queueStart = 0
            return nil
        }
        queueStart += 1
        return queue[queueStart - 1]
    }

    /// The frame that was taken last was not: it comes again.
    func giveBack() { queueStart -= 1 }

    func sendStatus(written: UInt64, flushed: UInt64) { statuses.append((written, flushed)) }
}
