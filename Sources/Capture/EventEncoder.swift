import PGOutput
import WAL

/// Writes events as JSON. At most one is open: all of it is written but whether it is its transaction's last, which the next change or the Commit tells.
struct EventEncoder: ~Copyable {
    /// Subjects longer than this are refused: nats-server reads control lines of 4,096 bytes (`max_control_line`), and the reply and sizes need room too.
    static let subjectByteCountLimit = 2048

    let layout: any EventLayout.Type
    /// What the layout says, asked once.
    private let hasTransaction: Bool
    let functions: CaptureFunctions
    /// Payload bytes that the server takes; events over it are poison.
    let payloadLimit: Int
    /// The first tokens of subjects that no event may have but Slotstream's own.
    let reservedSubject: [UInt8]

    /// The open event's body, as far as it is written.
    var payload: OutputBuffer
    /// The open event's subject.
    var subject = OutputBuffer()
    private(set) var messageID = OutputBuffer()
    /// The open event's `entity_id` as a JSON string; empty: not known.
    var entityID: OutputBuffer
    /// For a value that is put together before it is escaped.
    var scratch: OutputBuffer
    /// What stands for a masked value.
    var mask = OutputBuffer()
    /// For structured values.
    var context = ValueContext()
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
    /// What PostgreSQL sent of the open event.
    private var sentByteCount = 0
    /// Whether the open event has `transaction`.
    private var openHasTransaction = false

    init(
        format: EventFormat, functions: CaptureFunctions, payloadLimit: Int, reservedSubject: [UInt8]
    ) {
        layout = format.layout
        hasTransaction = layout.hasTransaction
        self.functions = functions
        self.payloadLimit = payloadLimit
        self.reservedSubject = reservedSubject
        // A little more: numbers take room for all the digits that there can be, and `finish` counts exactly.
        let bufferLimit = payloadLimit + 64
        payload = OutputBuffer(byteCountLimit: bufferLimit)
        entityID = OutputBuffer(byteCountLimit: bufferLimit)
        scratch = OutputBuffer(byteCountLimit: bufferLimit)
    }

    /// What is thrown where the open event turns out to be over the limit.
    var tooLarge: EncodingFailure {
        .poison(.payloadTooLarge(sentByteCount: sentByteCount, limit: payloadLimit))
    }

    /// The bytes that closing the open event will hand over; 0 if none is open.
    var openByteCount: Int {
        openHeader == nil ? 0 : payload.count + 5 + openTail.count + subject.count + messageID.count
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

    /// Hands the open event over, now that it is known whether it is the last of its transaction.
    mutating func close(isLast: Bool, into sink: inout some EventSink & ~Copyable) {
        guard var header = openHeader else { return }
        header.isLast = isLast
        if openHasTransaction { payload.append(isLast ? "true" : "false") }
        payload.append(openTail)
        openHeader = nil
        sink.accept(
            header, subject: subject.bytes.bytes, messageID: messageID.bytes.bytes, payload: payload.bytes.bytes)
    }

    // MARK: - Parts

    /// Begins an event: its message id.
    mutating func begin(ordinal: UInt64, sentByteCount: Int) {
        precondition(openHeader == nil, "an event is opened only when none is open")
        self.sentByteCount = sentByteCount
        messageID.removeAll()
        messageID.append(idPrefix.bytes)
        messageID.append(decimal: ordinal)
        payload.removeAll()
    }

    /// Begins an event whose whole message id is given.
    mutating func begin(id: Span<UInt8>, sentByteCount: Int) {
        precondition(openHeader == nil, "an event is opened only when none is open")
        self.sentByteCount = sentByteCount
        messageID.removeAll()
        id.withUnsafeBytes { messageID.append($0) }
        payload.removeAll()
    }

    /// What the next events have in common that are of no transaction.
    mutating func beginTransaction(timestamp time: PostgresTimestamp, transactionText: [UInt8]) {
        timestamp.removeAll()
        timestamp.append(",\"timestamp\":\"")
        timestamp.append(timestampOf: time)
        timestamp.append(UInt8(ascii: "\""))
        transaction.removeAll()
        transaction.append(transactionText)
    }

    /// Hands over the event that was begun last, which is whole but for `tail`.
    mutating func handOver(_ header: EventHeader, tail: [UInt8], into sink: inout some EventSink & ~Copyable) {
        payload.append(tail)
        sink.accept(header, subject: subject.bytes.bytes, messageID: messageID.bytes.bytes, payload: payload.bytes.bytes)
    }

    /// Begins what stands in an event's place: the event's message id, and `suffix`.
    mutating func begin(ordinal: UInt64, idSuffix suffix: some Sequence<UInt8>, sentByteCount: Int) {
        begin(ordinal: ordinal, sentByteCount: sentByteCount)
        messageID.append(Array(suffix))
    }

    /// Closes all that can be written before it is known whether the event is the last, and leaves it open, with `transaction` where its format has it.
    mutating func finish(tail: [UInt8], ordinal: UInt64, kindIndex: Int32) throws(EncodingFailure) {
        try finish(tail: tail, ordinal: ordinal, kindIndex: kindIndex, hasTransaction: hasTransaction)
    }

    /// As above; whether it has `transaction` is the caller's to say.
    @inline(__always)
    mutating func finish(tail: [UInt8], ordinal: UInt64, kindIndex: Int32, hasTransaction: Bool) throws(EncodingFailure) {
        openHasTransaction = hasTransaction
        if hasTransaction {
            payload.append(transaction.bytes)
            payload.append(decimal: ordinal)
            payload.append(",\"last\":")
        }
        // `false` is the longer of the two words.
        guard !payload.isOverflowing, payload.count + 5 + tail.count <= payloadLimit else { throw tooLarge }
        openTail = tail
        openHeader = EventHeader(
            position: Position(commitLSN: commitLSN, ordinal: ordinal), transactionID: transactionID,
            commitTimestamp: commitTimestamp, kindIndex: kindIndex, isLast: false)
    }

    /// Throws `.poison(.subjectTooLong)` and `.poison(.subjectReserved)`.
    func checkSubject() throws(EncodingFailure) {
        guard subject.count <= Self.subjectByteCountLimit else {
            throw .poison(.subjectTooLong(byteCount: subject.count, limit: Self.subjectByteCountLimit))
        }
        guard !ReservedEntity.isReserved(subject.bytes, reservedSubject) else { throw .poison(.subjectReserved) }
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
