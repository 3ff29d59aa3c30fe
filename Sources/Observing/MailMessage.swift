/// A mail, but for what is the same of all: the sender, the time, the message's id.
package struct MailMessage: Sendable, Equatable {
    /// Who it is for.
    package let to: MailAddress
    /// As the header has it: printable ASCII on one line, everything else as encoded words (RFC 2047).
    package let subject: String
    /// Plain text in UTF-8, with whatever line breaks and control characters the template and the row have.
    package let body: String
    /// Where answers go; nil: to the sender.
    package let replyTo: MailAddress?
}
