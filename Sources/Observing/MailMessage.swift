/// A mail, but for what is the same of all: the sender, the time, the message's id.
package struct MailMessage: Sendable, Equatable {
    /// Who it is for.
    package let to: MailAddress
    /// On one line, without control characters; whoever writes the header encodes the rest (RFC 2047).
    package let subject: String
    /// Plain text in UTF-8, with whatever line breaks and control characters the template and the row have.
    package let body: String
    /// Where answers go; nil: to the sender.
    package let replyTo: MailAddress?
}
