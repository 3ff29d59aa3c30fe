import Capture
import History
import JetStreamPublishing
import Logging
import Observing
import Outbound
import PostgresReplication
import Settings
import Threads
import WAL

/// Does actions, one attempt at a time, and keeps the connections that they need. Belongs to one thread.
final class ActionDoer {
    private let configuration: WorkerConfiguration
    private let database: FunctionCaller
    private let nats: () -> JetStreamConnection?
    private let logger: Logger
    private let http: HTTPSender
    private let mail: MailSender?

    /// - Parameters:
    ///   - database: Shared by all threads.
    ///   - nats: The connection of the moment; nil: there is none.
    init(_ configuration: WorkerConfiguration, database: FunctionCaller, nats: @escaping () -> JetStreamConnection?, logger: Logger) {
        self.configuration = configuration
        self.database = database
        self.nats = nats
        self.logger = logger
        http = HTTPSender(allowsPrivateHosts: configuration.allowsPrivateHosts, caFile: configuration.caFile)
        mail = configuration.mailServer.map { MailSender(MailServer($0, caFile: configuration.caFile)) }
    }

    /// The host that an action goes to, for its circuit breaker; nil: none.
    static func host(of action: ObserverAction, _ configuration: WorkerConfiguration) -> String? {
        switch action {
        case .webhook(let webhook): webhook.url.authority
        case .slack(let slack): slack.url.authority
        case .email: configuration.mailServer.map { "\($0.host):\($0.port)" }
        case .database: "postgresql"
        case .log, .nats: nil
        }
    }

    /// One attempt.
    /// - Parameters:
    ///   - index: The action's place in the observer's.
    ///   - isWanted: Asked once more where others had to be waited for.
    func attempt(
        _ action: ObserverAction, at index: Int, of observer: ObserverDefinition, for event: ObservedEvent, isWanted: () -> Bool = { true }
    ) -> ActionOutcome {
        switch action {
        case .webhook(let webhook):
            let body = webhook.body(for: event)
            let signature = webhook.signingSecret.map { secret in
                WebhookSignature.header(
                    secret: secret, body: body, unixSeconds: WallClock.unixMicroseconds / 1_000_000, hmac: HMACSHA256.digest)
            }
            return post(
                HTTPRequest(
                    url: webhook.url.value.value, method: webhook.method, headers: webhook.headers(for: event, signature: signature), body: body,
                    timeout: observer.actionTimeout),
                hiding: webhook.headers.map(\.value.value) + [webhook.url.value.value, signature ?? ""])
        case .slack(let slack):
            return post(
                HTTPRequest(
                    url: slack.url.value.value, method: "POST",
                    headers: [
                        ("Content-Type", "application/json"), ("Idempotency-Key", event.headerID), ("Nats-Msg-Id", event.headerID),
                    ], body: slack.body(for: event), timeout: observer.actionTimeout),
                hiding: [slack.url.value.value])
        case .email(let email): return send(email, event, id: "\(event.headerID).\(observer.name).\(index)")
        case .database(let action): return database.call(action, event, timeout: observer.actionTimeout, isWanted: isWanted)
        case .log(let log):
            logger.log(
                level: Logger.Level(log.level), "\(log.text(for: event))",
                metadata: [
                    "observer": "\(observer.name)", "event_id": "\(event.id)", "entity_type": "\(event.entityType)",
                    "operation": "\(event.operation)", "entity_id": "\(event.entityID ?? "")",
                ])
            return .done
        case .nats(let action): return publish(action, event, id: "\(event.headerID).\(configuration.consumer).\(observer.name).\(index)")
        }
    }

    /// - Parameter secrets: What an answer may repeat of the request, and nobody should read.
    private func post(_ request: HTTPRequest, hiding secrets: [String]) -> ActionOutcome {
        do throws(OutboundError) {
            let answer = try http.send(request)
            guard !(200...299).contains(answer.status) else { return .done }
            let isPermanent = (400...499).contains(answer.status) && answer.status != 429
            return .failed(
                ActionFailure(
                    isPermanent ? .permanentlyFailed : .executionFailed, "the receiver answered \(answer.status)",
                    answer: Self.hiding(secrets, in: answer.excerpt), isPermanent: isPermanent, isTheHosts: !isPermanent, isAnswered: true,
                    retryAfter: answer.retryAfter))
        } catch {
            return .failed(Self.failure(error))
        }
    }

    /// Shorter ones stand in any text.
    private static let shortestSecret = 4

    /// `text` with `***` for each of these, in whole or behind a word such as Bearer.
    private static func hiding(_ secrets: [String], in text: String) -> String {
        let parts = secrets.flatMap { [$0] + $0.split(separator: " ").map(String.init) }
        return parts.filter { $0.utf8.count >= shortestSecret }.sorted { $0.utf8.count > $1.utf8.count }.reduce(text) {
            $0.replacing($1, with: "***")
        }
    }

    private static func failure(_ error: OutboundError) -> ActionFailure {
        // A mail server may name the recipient.
        if case .mailRefused(let code, let text) = error {
            return ActionFailure(
                error.isPermanent ? .permanentlyFailed : .executionFailed, "the mail server refused with \(code)", answer: text,
                isPermanent: error.isPermanent, isTheHosts: !error.isPermanent, isAnswered: true)
        }
        return ActionFailure(
            error.isPermanent ? .permanentlyFailed : .executionFailed, "\(error)", isPermanent: error.isPermanent,
            isTheHosts: !error.isPermanent)
    }

    private func send(_ email: EmailAction, _ event: ObservedEvent, id: String) -> ActionOutcome {
        guard let mail else {
            return .failed(
                ActionFailure(
                    .invalidConfig, "there is no mail server: write the table [observers.runtime.email]", isPermanent: true))
        }
        do {
            try mail.send(Mail(email.message(for: event), id: id, event))
            return .done
        } catch let error as RenderingError {
            return .failed(ActionFailure(.templateRenderingFailed, "\(error)", isPermanent: true))
        } catch let error as OutboundError {
            return .failed(Self.failure(error))
        } catch {
            return .failed(ActionFailure(.otherError, "\(error)"))
        }
    }

    /// - Parameter id: Of this action of this event: several may publish to one stream.
    private func publish(_ action: NATSAction, _ event: ObservedEvent, id: String) -> ActionOutcome {
        guard let nats = nats() else { return .failed(ActionFailure(.executionFailed, "there is no connection to NATS now")) }
        do {
            let subject = try action.subject(for: event)
            for prefix in [configuration.subjectPrefix, configuration.deadStream] where subject == prefix || subject.hasPrefix(prefix + ".") {
                return .failed(
                    ActionFailure(
                        .permanentlyFailed, "the subject for this event lies under \(prefix), which is Slotstream's own", isPermanent: true))
            }
            // Within the stream's duplicate window a repeat is dropped there.
            _ = try nats.storeOnce(
                action.body(for: event), on: subject, headers: [("Nats-Msg-Id", id), ("Slotstream-Event-Id", event.headerID)], in: nil)
            return .done
        } catch let error as RenderingError {
            return .failed(ActionFailure(.templateRenderingFailed, "\(error)", isPermanent: true))
        } catch let error as JetStreamError {
            var isPermanent = false
            switch error {
            case .permission, .payloadTooLarge, .invalidMessage: isPermanent = true
            default: break
            }
            return .failed(ActionFailure(isPermanent ? .permanentlyFailed : .executionFailed, "\(error)", isPermanent: isPermanent))
        } catch {
            return .failed(ActionFailure(.otherError, "\(error)"))
        }
    }
}

extension Logger.Level {
    fileprivate init(_ level: LogAction.Level) {
        switch level {
        case .trace: self = .trace
        case .debug: self = .debug
        case .info: self = .info
        case .warn: self = .warning
        case .error: self = .error
        }
    }
}

extension MailServer {
    fileprivate init(_ settings: MailServerSettings, caFile: String?) {
        let security: MailServer.Security =
            switch settings.encryption {
            case .startTLS: .startTLS
            case .tls: .tls
            case .none: .none
            }
        self.init(
            host: settings.host, port: UInt16(clamping: settings.port), security: security, from: settings.from.text,
            username: settings.credentials?.username, password: settings.credentials?.password.value, timeout: settings.timeout, caFile: caFile)
    }
}

extension Mail {
    /// A repeat is the same mail, with the same date.
    fileprivate init(_ message: MailMessage, id: String, _ event: ObservedEvent) {
        let date = event.timestamp.flatMap { PostgresTimestamp(rfc3339: $0) } ?? .now
        self.init(
            to: [message.to.text], subject: message.subject, replyTo: message.replyTo?.text, text: message.body, messageID: id,
            date: date.unixMicroseconds / 1_000_000)
    }
}
