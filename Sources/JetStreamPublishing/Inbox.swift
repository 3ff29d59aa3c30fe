import CNats

/// Subjects that nobody else uses, for answers.
enum Inbox {
    /// A new one, `_INBOX.` and 22 random characters.
    static func make() throws(JetStreamError) -> String {
        var text: OpaquePointerToInbox?
        try NatsStatus.check(natsInbox_Create(&text), "make an inbox")
        guard let text else { throw .client(status: "no inbox", operation: "make an inbox") }
        defer { natsInbox_Destroy(text) }
        return String(cString: text)
    }

    /// `natsInbox *`: libnats declares `natsInbox` as `char`.
    private typealias OpaquePointerToInbox = UnsafeMutablePointer<natsInbox>
}
