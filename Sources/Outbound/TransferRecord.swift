/// What libcurl's callbacks are told during one request or mail, and what they ask.
///
/// A class because C keeps a pointer to it; for the thread that performs.
final class TransferRecord {
    /// How many bytes of an answer's head are read, and how many of its body.
    static let byteLimit = 65_536
    /// How many bytes of the body are kept.
    static let excerptLimit = 500

    private var deadline: ContinuousClock.Instant
    private let guarding: ((IPAddress) -> Bool)?
    private let upload: [UInt8]
    private var uploadedCount = 0
    private var headCount = 0
    private var bodyCount = 0
    private var admittedCount = 0
    private var lastRefused: IPAddress?
    /// The first bytes of the body.
    private(set) var excerpt: [UInt8] = []
    /// What a mail server said last with each code of a refusal; goodbyes follow it.
    private(set) var refusals: [Int: [UInt8]] = [:]

    /// - Parameter guarding: whether an address may be connected to; nil for all.
    init(timeout: Duration, upload: [UInt8] = [], guarding: ((IPAddress) -> Bool)? = nil) {
        // A second later than libcurl's own limit, which says what it was that took too long.
        deadline = .now + timeout.asTimeLimit + .seconds(1)
        self.upload = upload
        self.guarding = guarding
    }

    /// The head went over its limit.
    var headIsTooLarge: Bool { headCount > Self.byteLimit }

    /// The body went over its limit: the rest was not read.
    var bodyWasLeft: Bool { bodyCount > Self.byteLimit }

    /// The address for which nothing was connected to; nil if there was another, or none at all.
    var refused: IPAddress? { admittedCount == 0 ? lastRefused : nil }

    /// A mail server has said yes to all that was sent.
    private(set) var uploadWasTaken = false

    /// The time is over, and libcurl waits still: for an answer to its goodbye, which its own limit is not for.
    var isOverdue: Bool { deadline <= .now }

    /// A line of the head, or of a mail server.
    /// - Returns: Whether to go on.
    func receivedHead(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headCount += bytes.count
        if !upload.isEmpty { receivedReply(bytes) }
        return !headIsTooLarge
    }

    /// A line of a mail server: a code, a hyphen if more lines follow, and a text.
    private func receivedReply(_ line: UnsafeRawBufferPointer) {
        guard let code = Int(String(decoding: line.prefix(3), as: UTF8.self)) else { return }
        if (400...599).contains(code) { refusals[code] = Array(line.dropFirst(4).prefix(Self.excerptLimit)) }
        if code == 250, uploadedCount == upload.count, line.dropFirst(3).first != UInt8(ascii: "-") {
            uploadWasTaken = true
            // For saying goodbye.
            deadline = min(deadline, .now + .seconds(1))
        }
    }

    /// A part of the body.
    /// - Returns: Whether to go on.
    func receivedBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        bodyCount += bytes.count
        excerpt += bytes.prefix(Self.excerptLimit - excerpt.count)
        return !bodyWasLeft
    }

    /// Fills `buffer` with what is to be sent next.
    /// - Returns: How many bytes that are; 0 at the end.
    func takeUpload(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        let part = upload[uploadedCount...].prefix(buffer.count)
        buffer.copyBytes(from: part)
        uploadedCount += part.count
        return part.count
    }

    /// Whether an address may be connected to. One that cannot be told (nil) may not, where any may not.
    func admits(_ address: IPAddress?) -> Bool {
        guard let guarding else { return true }
        guard let address, guarding(address) else {
            lastRefused = address
            return false
        }
        admittedCount += 1
        return true
    }
}
