internal import CCurl

/// Hands mails to a mail server, one after another, each over a connection of its own: a server may end one that idles, and limits how
/// many mails it takes over one.
///
/// Blocking, and for one thread at a time. The guard of ``HTTPSender`` is not here: the server is the configuration's, and usually on a
/// private network.
package final class MailSender {
    private let server: MailServer
    private let handle = EasyHandle()

    package init(_ server: MailServer) { self.server = server }

    /// Sends a mail, and returns when the server has taken it for all its recipients; for none of them, if this throws before the text's end.
    /// - Throws: ``OutboundError``. After ``OutboundError/timedOut`` and ``OutboundError/cut(_:)`` the mail may have been sent nevertheless:
    ///   the server's answer to the text's end is what is missing. Sent again, it has the same Message-ID.
    package func send(_ mail: Mail) throws(OutboundError) {
        try server.validate()
        let message = try MailMessage(mail, from: server.from)
        let url = try TargetURL(server)
        let recipients = try TextList(message.recipients.map(\.address))
        try handle.prepare(protocols: "smtp,smtps", timeout: server.timeout, caFile: server.caFile)
        try handle.set(CURLOPT_CURLU, pointer: UnsafeRawPointer(url.handle))
        // All or nothing: a middle man who takes the offer of TLS away gets nothing.
        try handle.set(CURLOPT_USE_SSL, Int(server.security == .none ? CURLUSESSL_NONE.rawValue : CURLUSESSL_ALL.rawValue))
        if let username = server.username {
            // What libcurl could do beside asks other servers (Kerberos), or is broken (NTLM).
            try handle.set(CURLOPT_LOGIN_OPTIONS, "AUTH=PLAIN;AUTH=LOGIN;AUTH=CRAM-MD5")
            try handle.set(CURLOPT_USERNAME, username)
            try handle.set(CURLOPT_PASSWORD, server.password ?? "")
        }
        try handle.set(CURLOPT_MAIL_FROM, message.sender.address)
        try handle.set(CURLOPT_MAIL_RCPT, pointer: recipients.first)
        try handle.set(CURLOPT_UPLOAD, true)
        try handle.set(CURLOPT_INFILESIZE_LARGE, size: message.bytes.count)
        // Closed while this handle's own settings hold: libcurl says QUIT, and would wait for its answer for two minutes.
        try handle.set(CURLOPT_FORBID_REUSE, true)
        let record = TransferRecord(timeout: server.timeout, upload: message.bytes)
        let code = try handle.perform(record)
        // What goes wrong behind the server's yes changes nothing.
        guard code != CURLE_OK, !record.uploadWasTaken else { return }
        throw error(code, record)
    }

    private func error(_ code: CURLcode, _ record: TransferRecord) -> OutboundError {
        if record.headIsTooLarge { return .answerTooLarge(limit: TransferRecord.byteLimit) }
        let error = handle.error(code, host: server.host)
        let status = handle.number(CURLINFO_RESPONSE_CODE)
        switch error {
        case .cut, .unreadableAnswer, .failed:
            return (400...599).contains(status) ? .mailRefused(code: status, text: printable(record.refusals[status] ?? [])) : error
        default: return error
        }
    }
}
