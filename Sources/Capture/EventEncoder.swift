import PGOutput
import WAL

/// Writes events as JSON. At most one is open: all of it is written but whether it is its transaction's last, which the next change or the Commit tells.
struct EventEncoder: ~Copyable {
    /// Subjects longer than this are refused: nats-server reads control lines of 4,096 bytes (`max_control_line`), and the reply and sizes need room too.
    static let subjectByteCountLimit = 2048

    /// Payload bytes that the server takes; events over it are poison.
    let payloadLimit: Int

    /// The open event's body, as far as it is written.
    var payload = OutputBuffer()
    /// The open event's subject.
    var subject = OutputBuffer()
    private var messageID = OutputBuffer()
    /// For a value that is put together before it is escaped.
    var scratch = OutputBuffer()
    private var openHeader: EventHeader?
    private var openTail: [UInt8] = []

    // The same for all events of a transaction.
    private var idPrefix = OutputBuffer()
    /// `,"timestamp":"…"`.
    private(set) var timestamp = OutputBuffer()
    /// `,"transaction":{…,"ordinal":`.
    private(set) var transaction = OutputBuffer()
    private var transactionID = TransactionID.none
    private var commitLSN = LSN.invalid
    private var commitTimestamp = PostgresTimestamp(0)

    init(payloadLimit: Int) {
        self.payloadLimit = payloadLimit
    }

    /// The bytes that closing the open event will hand over; 0 if none is open.
    var openByteCount: Int {
        openHeader == nil ? 0 : payload.count + 5 + openTail.count + subject.count + messageID.count
    }

    /// Forgets the open event if it is at or below `position`: it is stored already.
    mutating func discardOpen(upTo position: Position) {
        if let openHeader, openHeader.position <= position { self.openHeader = nil }
    }

    mutating func beginTransaction(
        identity: SourceIdentity, timeline: UInt32, xid: TransactionID, commitLSN: LSN,
        commitTimestamp: PostgresTimestamp
    ) {
        transactionID = xid
        self.commitLSN = commitLSN
        self.commitTimestamp = commitTimestamp

        idPrefix.removeAll()
        idPrefix.append(decimal: identity.systemID)
        idPrefix.append(UInt8(ascii: "."))
        idPrefix.append(decimal: UInt64(identity.databaseOID))
        idPrefix.append(UInt8(ascii: "."))
        idPrefix.append(decimal: UInt64(timeline))
        idPrefix.append(UInt8(ascii: "."))
        idPrefix.append(decimal: UInt64(xid.rawValue))
        idPrefix.append(UInt8(ascii: "."))
        for shift in stride(from: 60, through: 0, by: -4) {
            idPrefix.append(Self.upperHexadecimalDigit(commitLSN.rawValue >> UInt64(shift)))
        }
        idPrefix.append(UInt8(ascii: "."))

        timestamp.removeAll()
        timestamp.append(",\"timestamp\":\"")
        timestamp.append(timestampOf: commitTimestamp)
        timestamp.append(UInt8(ascii: "\""))

        transaction.removeAll()
        transaction.append(",\"transaction\":{")
        if xid != .none {
            transaction.append("\"id\":")
            transaction.append(decimal: UInt64(xid.rawValue))
            transaction.append(UInt8(ascii: ","))
        }
        transaction.append("\"lsn\":\"")
        appendHexadecimal(commitLSN.rawValue >> 32)
        transaction.append(UInt8(ascii: "/"))
        appendHexadecimal(commitLSN.rawValue & 0xFFFF_FFFF)
        transaction.append("\",\"ordinal\":")
    }

    /// Takes a logical message's event as it stands and leaves it open; `members` are the body's own, in its order.
    mutating func openMessage(
        _ message: LogicalMessageEvent, subject subjectBytes: [UInt8], tail: [UInt8], ordinal: UInt64, kindIndex: Int32
    ) throws(PoisonReason) {
        subject.removeAll()
        subject.append(subjectBytes)
        try checkSubject()
        writeID(ordinal: ordinal)
        payload.append(UInt8(ascii: "\""))
        payload.append(message.members)
        if !message.hasTimestamp { payload.append(timestamp.bytes) }
        payload.append(transaction.bytes)
        payload.append(decimal: ordinal)
        payload.append(",\"last\":")
        try open(tail: tail, ordinal: ordinal, kindIndex: kindIndex)
    }

    /// Hands the open event over, now that it is known whether it is the last of its transaction.
    mutating func close(isLast: Bool, into sink: inout some EventSink & ~Copyable) {
        guard let header = openHeader else { return }
        payload.append(isLast ? "true" : "false")
        payload.append(openTail)
        openHeader = nil
        sink.accept(
            header, subject: subject.bytes.bytes, messageID: messageID.bytes.bytes, payload: payload.bytes.bytes)
    }

    // MARK: - Parts

    /// Begins an event: the id, and `{"id":"…` without the closing quote.
    mutating func writeID(ordinal: UInt64) {
        precondition(openHeader == nil, "an event is opened only when none is open")
        messageID.removeAll()
        messageID.append(idPrefix.bytes)
        messageID.append(decimal: ordinal)
        payload.removeAll()
        payload.append("{\"id\":\"")
        payload.append(messageID.bytes)
    }

    /// Leaves the event open whose bytes have been written up to `"last":`.
    mutating func open(tail: [UInt8], ordinal: UInt64, kindIndex: Int32) throws(PoisonReason) {
        // `false` is the longer of the two words.
        let byteCount = payload.count + 5 + tail.count
        guard byteCount <= payloadLimit else {
            throw .payloadTooLarge(byteCount: byteCount, limit: payloadLimit)
        }
        openTail = tail
        openHeader = EventHeader(
            position: Position(commitLSN: commitLSN, ordinal: ordinal), transactionID: transactionID,
            commitTimestamp: commitTimestamp, kindIndex: kindIndex)
    }

    /// Throws `.subjectTooLong`.
    func checkSubject() throws(PoisonReason) {
        guard subject.count <= Self.subjectByteCountLimit else {
            throw .subjectTooLong(byteCount: subject.count, limit: Self.subjectByteCountLimit)
        }
    }

    private mutating func appendHexadecimal(_ value: UInt64) {
        var shift: UInt64 = 28
        while shift > 0, value >> shift & 15 == 0 { shift -= 4 }
        while true {
            transaction.append(Self.upperHexadecimalDigit(value >> shift))
            if shift == 0 { return }
            shift -= 4
        }
    }

    @inline(__always)
    private static func upperHexadecimalDigit(_ value: UInt64) -> UInt8 {
        let digit = UInt8(truncatingIfNeeded: value & 15)
        return digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "A") + digit - 10
    }
}

extension OutputBuffer {
    /// Appends a time as events carry it: `2026-11-23T07:09:12.123456+00:00`.
    mutating func append(timestampOf timestamp: PostgresTimestamp) {
        timestamp.withUTF8Digits { append($0) }
    }
}
