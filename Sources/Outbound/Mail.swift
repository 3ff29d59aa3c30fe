/// One mail, of plain text.
package struct Mail: Sendable {
    /// At least one address, each `name@host` or `Name <name@host>`.
    package var to: [String]
    /// Line breaks in it become spaces.
    package var subject: String
    package var replyTo: String?
    package var text: String
    /// Of the event and of what is done about it: the mail's `Message-ID` is made of it, by which a repeat is recognised.
    package var messageID: String
    /// When the mail was first wanted, in seconds since 1970 (UTC).
    package var date: Int64

    package init(to: [String], subject: String, replyTo: String?, text: String, messageID: String, date: Int64) {
        self.to = to
        self.subject = subject
        self.replyTo = replyTo
        self.text = text
        self.messageID = messageID
        self.date = date
    }
}
