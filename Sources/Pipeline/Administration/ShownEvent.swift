import Capture
import History

/// A stored message as one line of text, whatever bytes it holds: nobody who can write to a table or to the stream can make a line of his own, or move the cursor.
package enum ShownEvent {
    /// The body as JSON on one line.
    ///
    /// Line breaks between values become blanks, and what could break a line or steer a terminal inside a string becomes `\uXXXX`: the same value to whoever reads JSON. A body that is
    /// no JSON object (somebody else's) becomes the text `body` of one, beside `sequence` and `subject`.
    package static func json(_ event: EventReader.Event) -> String {
        let line = line(event.payload)
        if EventFormat.isObject(event.payload) { return line }
        return ContractJSON.text(Stranger(sequence: event.sequence, subject: event.subject, body: String(decoding: event.payload, as: UTF8.self)))
            .unicodeScalars.map { shown($0, isInJSON: true) }.joined()
    }

    /// A name or subject that somebody else may have chosen.
    package static func oneLine(_ text: String) -> String {
        text.unicodeScalars.map { shown($0, isInJSON: false) }.joined()
    }

    private struct Stranger: Encodable {
        var sequence: UInt64
        var subject: String
        var body: String
    }

    /// `payload` without what breaks lines or steers terminals.
    static func line(_ payload: [UInt8]) -> String {
        var line = ""
        line.reserveCapacity(payload.count)
        var isInString = false
        var isEscaped = false
        // Bytes that are no UTF-8 become U+FFFD.
        for scalar in String(decoding: payload, as: UTF8.self).unicodeScalars {
            if isInString {
                line += shown(scalar, isInJSON: true)
                if isEscaped { isEscaped = false } else if scalar == "\\" { isEscaped = true } else if scalar == "\"" { isInString = false }
            } else {
                isInString = scalar == "\""
                // Blank space of JSON's own.
                line += scalar == "\n" || scalar == "\r" || scalar == "\t" ? " " : shown(scalar, isInJSON: true)
            }
        }
        return line
    }

    /// What stands for a character.
    private static func shown(_ scalar: Unicode.Scalar, isInJSON: Bool) -> String {
        guard isDangerous(scalar) else { return String(scalar) }
        // All of them lie within the first plane: one escape each.
        guard isInJSON else { return scalar.escaped(asASCII: true) }
        let digits = String(scalar.value, radix: 16)
        return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }

    /// Control characters of both sets, Unicode's line breaks, and what turns the direction of text around.
    private static func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.value {
        case 0..<0x20, 0x7F..<0xA0, 0x061C, 0x200E, 0x200F, 0x2028...0x202E, 0x2066...0x2069, 0xFEFF: true
        default: false
        }
    }
}
