/// A mail to one recipient, by the server of `[observers.runtime.email]`.
package struct EmailAction: Sendable {
    /// A value that is fixed, or that each event gives.
    package enum Source<Value: Sendable>: Sendable {
        /// The same for all.
        case fixed(Value)
        /// Made of the event.
        case template(Template)
    }

    /// Who it is for.
    package let recipient: Source<MailAddress>
    /// What stands above it.
    package let subject: Source<String>
    /// What it says, as plain text.
    package let bodyTemplate: Template
    /// Where answers go; nil: to the sender.
    package let replyTo: MailAddress?

    /// The mail about an event.
    /// - Throws: `.recipient`: what the event gives is no address; it will not be one at the next attempt either.
    package func message(for event: ObservedEvent) throws(RenderingError) -> MailMessage {
        let to: MailAddress
        switch recipient {
        case .fixed(let address): to = address
        case .template(let template):
            guard let address = MailAddress(template.render(event, escaping: .none)) else { throw .recipient }
            to = address
        }
        let title =
            switch subject {
            case .fixed(let text): text
            case .template(let template): template.render(event, escaping: .none)
            }
        return MailMessage(
            to: to, subject: HeaderText.cleaned(title), body: bodyTemplate.render(event, escaping: .none), replyTo: replyTo)
    }
}
