import Capture

/// What observers do.
extension ObserverReader {
    /// Of one observer.
    private static let actionLimit = 100
    /// Of one request.
    private static let headerLimit = 100
    /// Of one header.
    private static let headerByteCountLimit = 8_192

    /// Headers that say what only the worker knows, or that a request has only once: by their names in small letters.
    private static let ownHeaders: Set<String> = [
        "idempotency-key", "nats-msg-id", "x-fraiseql-signature-256", "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te",
        "trailer", "upgrade", "expect", "proxy-authorization", "proxy-connection",
    ]

    private static let methods = ["POST", "PUT", "PATCH", "DELETE", "GET"]

    /// FraiseQL's actions that are not done here, and what to do instead.
    private static let refusedTypes = [
        "sms": "FraiseQL has no way to send an SMS either; write a webhook to your provider",
        "push": "FraiseQL has no way to send a push message either; write a webhook to your provider",
        "search": "FraiseQL has no way to update an index either; write a webhook to your search server",
        "cache": "the action needs Redis, which slotstream-observer does not speak; write a webhook or a database action",
    ]

    mutating func readActions(_ table: Table) -> [ObserverAction] {
        let path = "\(table.path).actions"
        switch table.members["actions"] {
        case nil, .null:
            complain(path, "is missing; write at least one [[observers.NAME.actions]] with a type")
            return []
        case .list(let values):
            if values.isEmpty, source == .file { complain(path, "is empty; write at least one action") }
            if values.isEmpty, source == .database { note(path, "has no actions: the observer does nothing") }
            if values.count > Self.actionLimit { complain(path, "has \(values.count) actions; at most \(Self.actionLimit) are allowed") }
            return values.prefix(Self.actionLimit).enumerated().compactMap { readAction($0.element, "\(path)[\($0.offset)]") }
        case .some(let value):
            complain(path, "is \(value.kindName); expected is a list of tables: [[observers.NAME.actions]]")
            return []
        }
    }

    private mutating func readAction(_ value: ObserverValue, _ path: String) -> ObserverAction? {
        guard let table = table(value, path) else { return nil }
        let allowed = ObserverAction.typeNames.joined(separator: ", ")
        guard let type = text("type", table) else {
            if isAbsent("type", table) { complain("\(path).type", "is missing; allowed are \(allowed)") }
            return nil
        }
        switch type {
        case "webhook": return webhook(table).map { .webhook($0) }
        case "slack": return slack(table).map { .slack($0) }
        case "email": return email(table).map { .email($0) }
        case "database": return database(table).map { .database($0) }
        case "log": return log(table).map { .log($0) }
        case "nats": return nats(table).map { .nats($0) }
        default:
            if let instead = Self.refusedTypes[type] {
                complain("\(path).type", "\(type) is not done: \(instead). Allowed are \(allowed)")
            } else {
                complain(
                    "\(path).type", "\(Self.quoted(type)) is no action; allowed are \(allowed)" + Self.suggestion(type, ObserverAction.typeNames))
            }
            return nil
        }
    }

    private mutating func template(_ key: String, _ table: Table) -> Template? {
        guard let template = nonEmptyText(key, table).map({ Template($0) }) else { return nil }
        if template.text.utf8.count > Template.byteCountLimit || template.placeCount > Template.placeLimit {
            complain("\(table.path).\(key)", "must have at most \(Template.byteCountLimit) bytes and \(Template.placeLimit) places, {{ key }}")
        }
        return template
    }

    // MARK: - Each type

    private mutating func webhook(_ table: Table) -> WebhookAction? {
        checkKeys(table, ["type", "url", "url_env", "method", "headers", "body_template", "signing_secret", "signing_secret_env"])
        let url = url("url", table)
        var method = "POST"
        if let name = text("method", table) {
            method = name.uppercased()
            if !Self.methods.contains(method) {
                complain("\(table.path).method", "\(Self.quoted(name)) is not allowed; allowed are \(Self.methods.joined(separator: ", "))")
            }
        }
        let headers = headers(table)
        let bodyTemplate = template("body_template", table)
        let signingSecret = secret("signing_secret", table)
        return url.map { WebhookAction(url: $0, method: method, headers: headers, bodyTemplate: bodyTemplate, signingSecret: signingSecret) }
    }

    private mutating func headers(_ table: Table) -> [ActionHeader] {
        guard let value = table.members["headers"], value != .null, let headers = self.table(value, "\(table.path).headers") else { return [] }
        if headers.members.count > Self.headerLimit { complain(headers.path, "has more than \(Self.headerLimit) headers") }
        var read: [ActionHeader] = []
        for name in headers.members.keys.sorted() {
            let path = "\(headers.path).\(Self.pathPart(name))"
            if !Self.isHeaderName(name) {
                complain(path, "is no name of a header; allowed are letters, digits and !#$%&'*+-.^_`|~")
            } else if Self.ownHeaders.contains(name.lowercased()) {
                complain(path, "is set by slotstream-observer itself; remove the header")
            } else if read.contains(where: { $0.name.lowercased() == name.lowercased() }) {
                complain(path, "stands here twice, in another case")
            }
            guard case .text(let text)? = headers.members[name] else {
                complain(path, "is no text; a header's value is one")
                continue
            }
            if text.contains("{{") {
                complain(path, "has a template; a header is fixed, nothing of an event ever becomes part of one")
            } else if text.utf8.count > Self.headerByteCountLimit || !text.utf8.allSatisfy(HeaderText.isPrintable) {
                complain(path, "must be at most \(Self.headerByteCountLimit) printable ASCII characters on one line")
            }
            read.append(ActionHeader(name: name, value: ActionSecret(text)))
        }
        return read
    }

    /// RFC 9110's `token`.
    private static func isHeaderName(_ name: String) -> Bool {
        !name.isEmpty && name.utf8.count <= 256
            && name.utf8.allSatisfy { EntityNaming.isPlain($0) || "!#$%&'*+.^`|~".utf8.contains($0) }
    }

    private mutating func slack(_ table: Table) -> SlackAction? {
        checkKeys(table, ["type", "webhook_url", "webhook_url_env", "channel", "message_template"])
        let url = url("webhook_url", table)
        let channel = nonEmptyText("channel", table)
        let messageTemplate = template("message_template", table)
        return url.map { SlackAction(url: $0, channel: channel, messageTemplate: messageTemplate) }
    }

    private mutating func email(_ table: Table) -> EmailAction? {
        checkKeys(table, ["type", "to", "to_template", "subject", "subject_template", "body_template", "reply_to"], ignoring: ["cc"])
        if !isAbsent("cc", table) {
            note("\(table.path).cc", "is not sent to: neither FraiseQL nor slotstream-observer sends copies. Write another action.")
        }
        if !hasMailServer { complain(table.path, "needs a mail server; write [observers.runtime.email] with host and from") }
        let to = mailAddress("to", table)
        let toTemplate = template("to_template", table)
        let subject = nonEmptyText("subject", table)
        let subjectTemplate = template("subject_template", table)
        noteBoth("to", table)
        noteBoth("subject", table)
        if isAbsent("to", table), isAbsent("to_template", table) {
            complain("\(table.path).to", "is missing; write to = \"name@example.com\", or to_template = \"{{ email }}\"")
        }
        if isAbsent("subject", table), isAbsent("subject_template", table) {
            complain("\(table.path).subject", "is missing; write subject = \"…\", or subject_template")
        }
        if isAbsent("subject_template", table), let subject, !Template(subject).isFixed {
            note("\(table.path).subject", "is sent unchanged. Write subject_template for a title with the event's values.")
        }
        require("body_template", table, "body_template = \"…\"")
        let bodyTemplate = template("body_template", table)
        let replyTo = mailAddress("reply_to", table)
        let recipient: EmailAction.Source<MailAddress>? = toTemplate.map { .template($0) } ?? to.map { .fixed($0) }
        let title: EmailAction.Source<String>? = subjectTemplate.map { .template($0) } ?? subject.map { .fixed($0) }
        guard let recipient, let title, let bodyTemplate else { return nil }
        return EmailAction(recipient: recipient, subject: title, bodyTemplate: bodyTemplate, replyTo: replyTo)
    }

    /// FraiseQL requires `subject` and `to` where there is a template too, and then ignores the template.
    private mutating func noteBoth(_ key: String, _ table: Table) {
        if !isAbsent(key, table), !isAbsent("\(key)_template", table) { note("\(table.path).\(key)", "is not used: \(key)_template is.") }
    }

    mutating func mailAddress(_ key: String, _ table: Table) -> MailAddress? {
        guard let text = text(key, table) else { return nil }
        guard let address = MailAddress(text) else {
            let template = key == "to" ? "; for an address of the event write to_template" : ""
            complain(
                "\(table.path).\(key)", "\(Self.quoted(text)) is not one email address; write name@example.com or Name <name@example.com>" + template)
            return nil
        }
        return address
    }

    private mutating func database(_ table: Table) -> DatabaseAction? {
        checkKeys(table, ["type", "function_name", "params"])
        require("function_name", table, "function_name = \"schema.name\"")
        var params: JSONValue?
        if let value = table.members["params"], value != .null {
            params = value.json.flatMap { JSONValue($0) }
            if params == nil { complain("\(table.path).params", "holds a value that JSON has nothing for, or is nested too deeply") }
        }
        guard let name = text("function_name", table) else { return nil }
        let parts = name.split(separator: ".", omittingEmptySubsequences: false).map { $0.lowercased() }
        guard parts.count <= 2, parts.allSatisfy(Self.isIdentifier) else {
            complain(
                "\(table.path).function_name",
                "\(Self.quoted(name)) is no function's name; write name or schema.name, of letters, digits, _ and $, without quotes and parentheses")
            return nil
        }
        return DatabaseAction(function: parts, params: params)
    }

    /// Of PostgreSQL, at most 63 bytes: it would cut a longer one, and call another function.
    private static func isIdentifier(_ part: String) -> Bool {
        guard let first = part.utf8.first, part.utf8.count <= 63 else { return false }
        let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(first)
        return !isDigit && first != UInt8(ascii: "$")
            && part.utf8.allSatisfy { EntityNaming.isPlain($0) && $0 != UInt8(ascii: "-") || $0 == UInt8(ascii: "$") }
    }

    private mutating func log(_ table: Table) -> LogAction? {
        checkKeys(table, ["type", "level", "message_template"])
        require("message_template", table, "message_template = \"…\"")
        let level: LogAction.Level? = choice("level", table)
        return template("message_template", table).map { LogAction(level: level ?? .info, messageTemplate: $0) }
    }

    private mutating func nats(_ table: Table) -> NATSAction? {
        checkKeys(table, ["type", "subject", "body_template"])
        require("subject", table, "subject = \"orders.{{ status }}\"")
        let bodyTemplate = template("body_template", table)
        guard let subject = text("subject", table) else { return nil }
        let template = Template(subject)
        if let reason = SubjectRule(livePrefix: livePrefix).refusal(of: template) {
            complain("\(table.path).subject", reason)
            return nil
        }
        return NATSAction(subjectTemplate: template, bodyTemplate: bodyTemplate)
    }
}
