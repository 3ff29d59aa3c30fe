/// A mail as it goes over the wire, but for the dots that libcurl doubles.
struct MailMessage {
    let sender: Mailbox
    let recipients: [Mailbox]
    let bytes: [UInt8]

    /// - Throws: ``OutboundError/invalidMail(_:)``.
    init(_ mail: Mail, from: String) throws(OutboundError) {
        sender = try Mailbox(from, of: "the sender")
        var recipients: [Mailbox] = []
        for text in mail.to { recipients.append(try Mailbox(text, of: "a recipient")) }
        guard !recipients.isEmpty else { throw .invalidMail("there is no recipient") }
        guard recipients.count <= Self.recipientLimit else { throw .invalidMail("there are more than \(Self.recipientLimit) recipients") }
        self.recipients = recipients
        var lines = ["From: \(sender.headerForm)", "To: \(recipients.map(\.headerForm).joined(separator: ",\r\n "))"]
        if let replyTo = mail.replyTo { lines.append("Reply-To: \(try Mailbox(replyTo, of: "reply_to").headerForm)") }
        lines += [
            "Subject: \(EncodedWords.unstructured(String(mail.subject.prefix(Self.subjectLimit))))", "Date: \(MailDate.text(mail.date))",
            "Message-ID: <\(try Self.identifier(mail.messageID))@\(sender.host)>",
            // So that nobody's automaton answers (RFC 3834).
            "Auto-Submitted: auto-generated", "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8",
            "Content-Transfer-Encoding: quoted-printable", "", "",
        ]
        bytes = Array(lines.joined(separator: "\r\n").utf8) + QuotedPrintable.lines(of: mail.text)
    }

    /// What each server has to take (RFC 5321, 4.5.3.1.8).
    private static let recipientLimit = 100
    /// In characters; what is longer is cut.
    private static let subjectLimit = 500
    /// A line of a mail has at most 998 bytes, and an id cannot be folded.
    private static let identifierLimit = 700

    /// `id` as what is before the `@` of a Message-ID: one for each, as all else but letters and digits is written as `%XX`.
    ///
    /// Source: RFC 5322, 3.6.4 (dot-atom-text).
    private static func identifier(_ id: String) throws(OutboundError) -> String {
        var result = ""
        for byte in id.utf8 {
            let isKept = byte.isASCIILetterOrDigit || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
            // A dot stands between two others.
            let isInnerDot = byte == UInt8(ascii: ".") && !result.isEmpty && result.last != "."
            result += isKept || isInnerDot ? String(UnicodeScalar(byte)) : "%" + QuotedPrintable.escape(byte).dropFirst()
        }
        if result.hasSuffix(".") { result = result.dropLast() + "%2E" }
        guard !result.isEmpty, result.utf8.count <= identifierLimit else { throw .invalidMail("the event's id is empty, or too long for a mail") }
        return result
    }
}
