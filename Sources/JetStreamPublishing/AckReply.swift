/// The last token of an ack's reply subject: which publish it answers.
///
/// Shape: 24 lower-case hexadecimal digits, 8 of the epoch and 16 of the token. Fixed width, so that neither writing nor
/// reading it needs a division or an allocation.
package struct AckReply: Hashable, Sendable {
    /// The width of the subject token, in bytes.
    static let byteCount = 24

    /// The chain that it was published in; acks of another are stale.
    package let epoch: UInt32
    /// What the caller chose: the sequence that the message must get, or a control token.
    package let token: UInt64

    /// The answer to one publish.
    package init(epoch: UInt32, token: UInt64) {
        self.epoch = epoch
        self.token = token
    }

    /// Reads the subject token at the end of `subject`; nil if it is not one of ours.
    init?(subject: UnsafeBufferPointer<UInt8>) {
        guard subject.count > Self.byteCount,
            subject[subject.count - Self.byteCount - 1] == UInt8(ascii: "."),
            let epoch = Self.hexadecimal(subject, from: subject.count - 24, digits: 8),
            let token = Self.hexadecimal(subject, from: subject.count - 16, digits: 16)
        else { return nil }
        self.epoch = UInt32(truncatingIfNeeded: epoch)
        self.token = token
    }

    /// Whether it answers a control publish.
    var isControl: Bool { token & AckMailbox.controlBit != 0 }

    /// Writes the subject token to the `byteCount` bytes at `destination`.
    func write(to destination: UnsafeMutablePointer<CChar>) {
        Self.writeHexadecimal(UInt64(epoch), digits: 8, to: destination)
        Self.writeHexadecimal(token, digits: 16, to: destination + 8)
    }

    /// Writes the low `digits` digits of `value`.
    static func writeHexadecimal(_ value: UInt64, digits: Int, to destination: UnsafeMutablePointer<CChar>) {
        var rest = value
        for index in stride(from: digits - 1, through: 0, by: -1) {
            let digit = UInt8(truncatingIfNeeded: rest & 0xF)
            destination[index] = CChar(
                truncatingIfNeeded: digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
            rest >>= 4
        }
    }

    /// Reads `digits` lower-case digits at `start`, which the caller has checked to be inside; nil for anything else.
    static func hexadecimal(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int, digits: Int) -> UInt64? {
        var value: UInt64 = 0
        for index in start..<start + digits {
            let digit: UInt8
            switch bytes[index] {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = bytes[index] - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = bytes[index] - UInt8(ascii: "a") + 10
            default: return nil
            }
            value = value << 4 | UInt64(digit)
        }
        return value
    }
}
