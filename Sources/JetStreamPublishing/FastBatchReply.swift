/// What stands behind the inbox in the reply subject of a fast batch's message: its way of telling the server about the batch.
///
/// Shape: `<batch>.<acks>.fail.<ordinal>.<operation>.$FI`: the batch's name, 24 digits as those of ``AckReply`` with the batch's base as token; how many messages
/// may be without an ack; that a missing message ends the batch; decimal numbers. Source: ADR-50.
struct FastBatchReply: Hashable, Sendable {
    /// Ends the batch and stores nothing; the other operations are a ``FastBatchMember/Step``.
    static let endOperation: UInt8 = 3
    /// The most bytes that it takes.
    static let byteCountLimit = AckReply.byteCount + 1 + 5 + gap.utf8CodeUnitCount + 20 + 1 + 1 + suffix.utf8CodeUnitCount

    private static let gap: StaticString = ".fail."
    private static let suffix: StaticString = ".$FI"

    /// The chain that it was published in.
    let epoch: UInt32
    /// The stream's last sequence before the batch.
    let base: UInt64
    /// The message's place in the batch.
    let ordinal: UInt64
    /// What it does, one digit.
    let operation: UInt8

    /// A message of the batch `base`.
    init(epoch: UInt32, base: UInt64, ordinal: UInt64, operation: UInt8) {
        self.epoch = epoch
        self.base = base
        self.ordinal = ordinal
        self.operation = operation
    }

    /// Reads the end of `subject`; nil if it is not one of ours.
    init?(subject: UnsafeBufferPointer<UInt8>) {
        let isOurs = Self.suffix.withUTF8Buffer { suffix in
            subject.count > suffix.count && subject.suffix(suffix.count).elementsEqual(suffix)
        }
        guard isOurs else { return nil }
        let tokens = subject.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false).suffix(6)
        guard tokens.count == 6, let name = tokens.first, name.startIndex > 0, name.count == AckReply.byteCount,
            let batch = AckReply(subject: UnsafeBufferPointer(rebasing: subject[(name.startIndex - 1)..<name.endIndex])),
            tokens[tokens.startIndex + 2].elementsEqual("fail".utf8),
            let ordinal = UInt64(String(decoding: tokens[tokens.startIndex + 3], as: UTF8.self)),
            let operation = UInt8(String(decoding: tokens[tokens.startIndex + 4], as: UTF8.self)),
            operation <= Self.endOperation
        else { return nil }
        self.init(epoch: batch.epoch, base: batch.token, ordinal: ordinal, operation: operation)
    }

    /// The token of the message that it answers.
    var token: UInt64 { base &+ ordinal }

    /// Writes it to the `byteCountLimit` bytes at `destination`.
    /// - Returns: How many bytes it took.
    func write(to destination: UnsafeMutablePointer<CChar>) -> Int {
        AckReply(epoch: epoch, token: base).write(to: destination)
        var count = AckReply.byteCount
        destination[count] = CChar(UInt8(ascii: "."))
        count += 1
        count += PublishScratch.writeDecimal(UInt64(FastBatchMember.ackInterval), to: destination + count)
        count += PublishScratch.write(Self.gap, to: destination + count)
        count += PublishScratch.writeDecimal(ordinal, to: destination + count)
        destination[count] = CChar(UInt8(ascii: "."))
        destination[count + 1] = CChar(UInt8(ascii: "0") + operation)
        count += 2
        return count + PublishScratch.write(Self.suffix, to: destination + count)
    }
}
