import Capture
import Testing

@testable import Observing

@Suite struct ObserverFileTests {
    private static func only(_ file: ObserverFile) throws -> ObserverDefinition {
        #expect(file.mistakes == [])
        return try #require(file.definitions.first)
    }

    @Test func readsAnObserver() throws {
        let file = try Definitions.file(
            #"""
            {"paid": {
                "event_type": "update", "entity": "Order", "condition": "total > 1000", "on_failure": "alert", "priority": 5, "timeout_ms": 1500,
                "enabled": false, "description": "big orders",
                "retry": {"max_attempts": 5, "initial_delay_ms": 200, "max_delay_ms": 60000, "backoff_strategy": "linear"},
                "actions": [
                    {"type": "webhook", "url": "https://example.com/hook", "method": "put", "headers": {"X-Key": "k"}, "body_template": "{}", "signing_secret_env": "SIGNING_KEY"},
                    {"type": "slack", "webhook_url_env": "HOOK_URL", "channel": "orders", "message_template": "{{ id }}"},
                    {"type": "database", "function_name": "App.fn_Paid$1", "params": {"b": [1, 2.50, null], "a": true}},
                    {"type": "log", "level": "warn", "message_template": "{{ id }}"},
                    {"type": "nats", "subject": "orders.{{ status }}.paid", "body_template": "{}"}
                ]
            }}
            """#)
        let observer = try Self.only(file)
        #expect(file.notes == [])
        #expect(observer.name == "paid")
        #expect(observer.origin == .file)
        #expect(observer.entity == "Order")
        #expect(observer.eventType == .update)
        #expect(observer.condition?.text == "total > 1000")
        #expect(observer.onFailure == .alert)
        #expect(observer.priority == 5)
        #expect(observer.actionTimeout == .milliseconds(1_500))
        #expect(!observer.isEnabled)
        #expect(observer.retry.maxAttempts == 5)
        #expect(observer.retry.initialDelay == .milliseconds(200))
        #expect(observer.retry.maxDelay == .seconds(60))
        #expect(observer.retry.strategy == .linear)
        #expect(observer.actions.map(\.typeName) == ["webhook", "slack", "database", "log", "nats"])
        guard case .webhook(let webhook) = observer.actions[0], case .slack(let slack) = observer.actions[1],
            case .database(let database) = observer.actions[2]
        else {
            Issue.record("other actions")
            return
        }
        #expect(webhook.method == "PUT")
        #expect(webhook.headers == [ActionHeader(name: "X-Key", value: ActionSecret("k"))])
        #expect(webhook.signingSecret == ActionSecret("s3cret"))
        #expect(slack.url.value.value == "https://hooks.example.com/key")
        #expect(database.function == ["app", "fn_paid$1"])
        #expect(database.params.map { String(decoding: $0.text, as: UTF8.self) } == #"{"a":true,"b":[1,2.50,null]}"#)
    }

    @Test func hasFraiseQLsDefaults() throws {
        let observer = try Self.only(try Definitions.action(#"{"type":"webhook","url":"https://example.com","headers":null,"signing_secret":null}"#))
        #expect(observer.entity == nil)
        #expect(observer.eventType == nil)
        #expect(observer.condition == nil)
        #expect(observer.onFailure == .dlq)
        #expect(observer.retry == RetryPolicy())
        #expect(observer.priority == 100)
        #expect(observer.actionTimeout == .seconds(30))
        #expect(observer.isEnabled)
        guard case .webhook(let webhook) = observer.actions[0] else {
            Issue.record("another action")
            return
        }
        #expect(webhook.method == "POST")
        #expect(webhook.bodyTemplate == nil)
        #expect(webhook.signingSecret == nil)
    }

    @Test(arguments: ["INSERT", "insert", "Insert"]) func takesEventTypesInAnyCase(type: String) throws {
        #expect(try Self.only(try Definitions.observer(#""event_type":"\#(type)""#)).eventType == .insert)
    }

    @Test func takesAStarForAll() throws {
        let observer = try Self.only(try Definitions.observer(#""event_type":"*","entity":"*""#))
        #expect(observer.eventType == nil)
        #expect(observer.entity == nil)
        #expect(observer.isFor(try EventSamples.event(EventSamples.update)))
    }

    /// Nothing happened to the row: who wants to act on each row of a table that is read says so.
    @Test(arguments: [nil, "*", "INSERT", "UPDATE", "DELETE", "CUSTOM", "READ", "read"])
    func isForRowsOfABackfillIfItNamesThem(eventType: String?) throws {
        let members = #""entity":"Order""# + (eventType.map { #","event_type":"\#($0)""# } ?? "")
        let observer = try Self.only(try Definitions.observer(members))
        let read = #"{"id":"1","entity_type":"Order","operation":"READ","entity_id":"42","entity":{},"backfill":{"id":"3","lsn":"0/1"}}"#
        let isNamed = eventType?.uppercased() == "READ"
        #expect(observer.isFor(try EventSamples.event(read)) == isNamed)
        let fraiseql = #"{"id":"5f0c","event_type":"CUSTOM","entity_type":"Order","entity_id":"42","data":{},"changes":null}"#
        #expect(observer.isFor(try EventSamples.event(fraiseql, subject: "p.Order.READ")) == isNamed)
        // `backfill --operation INSERT` makes INSERTs of them.
        let isOfInsert = eventType == nil || eventType == "*" || eventType == "INSERT"
        #expect(observer.isFor(try EventSamples.event(read.replacing("READ", with: "INSERT"))) == isOfInsert)
    }

    @Test func isForItsEventsOnly() throws {
        let event = try EventSamples.event(EventSamples.update)
        #expect(try Self.only(try Definitions.observer(#""entity":"Order","event_type":"UPDATE""#)).isFor(event))
        #expect(try !Self.only(try Definitions.observer(#""entity":"order","event_type":"UPDATE""#)).isFor(event))
        #expect(try !Self.only(try Definitions.observer(#""entity":"Order","event_type":"INSERT""#)).isFor(event))
        #expect(try !Self.only(try Definitions.observer(#""entity":"Order","enabled":false"#)).isFor(event))
    }

    /// FraiseQL's example 03, with a list and no names.
    @Test func readsFraiseQLsExample() throws {
        let file = ObserverFile.read(
            try Definitions.value(
                #"""
                [{"entity": "Order", "event_type": "INSERT",
                  "actions": [{"body_template": "{\n  \"event_id\": \"{{ event.id }}\",\n  \"event_type\": \"{{ event.event_type }}\",\n  \"entity\": \"{{ event.entity_type }}\",\n  \"data\": {{ event.data }}\n}\n",
                               "headers": {"Authorization": "Bearer x"}, "type": "webhook", "url_env": "ANALYTICS_WEBHOOK_URL"}],
                  "retry": {"backoff_strategy": "exponential", "initial_delay_ms": 100, "max_attempts": 3, "max_delay_ms": 30000}},
                 {"condition": "data.status == 'shipped'", "entity": "Order", "event_type": "UPDATE",
                  "actions": [{"body_template": "Order #{{ data.id }} is on its way. Tracking: {{ data.tracking_number }}", "subject": "Your order has shipped!",
                               "to_template": "{{ data.customer_email }}", "type": "email"}],
                  "retry": {"backoff_strategy": "exponential", "initial_delay_ms": 200, "max_attempts": 5, "max_delay_ms": 60000},
                  "runtime": {"email": {"host": "smtp.example.com", "from": "orders@example.com"}}}]
                """#), environment: ["ANALYTICS_WEBHOOK_URL": "https://example.com"], livePrefix: "fraiseql.mutation")
        #expect(file.mistakes == [])
        #expect(file.definitions.map(\.name) == ["observer_1", "observer_2"])
        #expect(file.notes.count == 2)
        #expect(
            file.notes.first
                == "observers[0]: has no name and is called observer_1 by its place in the file. Write name = \"…\": the place may change, and dead letters and metrics go by the name."
        )
        #expect(file.mailServer?.host == "smtp.example.com")
        guard case .webhook(let webhook) = file.definitions[0].actions[0] else {
            Issue.record("another action")
            return
        }
        let event = try EventSamples.event(
            #"{"id":"m.1","entity_type":"Order","operation":"INSERT","entity_id":"42","entity":{"total":12.50}}"#)
        #expect(
            String(decoding: webhook.body(for: event), as: UTF8.self)
                == "{\n  \"event_id\": \"m.1\",\n  \"event_type\": \"INSERT\",\n  \"entity\": \"Order\",\n  \"data\": {\"total\":12.50}\n}\n")
    }

    @Test func ordersByPriorityAndName() throws {
        let log = #""actions":[{"type":"log","message_template":"x"}]"#
        let file = try Definitions.file(
            #"[{"name":"c",\#(log)},{"name":"b","priority":200,\#(log)},{"name":"a","priority":200,\#(log)},{"name":"z","priority":1,\#(log)}]"#)
        #expect(file.mistakes == [])
        #expect(file.definitions.map(\.name) == ["z", "c", "a", "b"])
    }

    @Test func readsNothing() throws {
        for json in ["null", "{}", "[]"] {
            let file = try Definitions.file(json)
            #expect(file.definitions.isEmpty && file.mistakes.isEmpty && file.mailServer == nil)
        }
    }

    // MARK: - Mail

    @Test func readsAMailServer() throws {
        let file = try Definitions.file(
            #"{"runtime":{"email":{"host":"smtp.example.com","port":465,"from":"Shop <shop@example.com>","username_env":"MAIL_USER","password_env":"MAIL_PASSWORD","tls":"tls","timeout_secs":5},"poll_interval_ms":100}}"#
        )
        #expect(file.mistakes == [])
        #expect(file.notes == ["observers.runtime: poll_interval_ms: known from FraiseQL, not used."])
        #expect(
            file.mailServer
                == MailServerSettings(
                    host: "smtp.example.com", port: 465, from: try #require(MailAddress("Shop <shop@example.com>")),
                    credentials: MailServerSettings.Credentials(username: "mailer", password: ActionSecret("m4il")), encryption: .tls,
                    timeout: .seconds(5)))
    }

    @Test func hasFraiseQLsMailDefaults() throws {
        let server = try #require(try Definitions.file(#"{"runtime":{"email":{"host":"localhost","from":"a@b"}}}"#).mailServer)
        #expect(server.port == 587)
        #expect(server.encryption == .startTLS)
        #expect(server.timeout == .seconds(30))
        #expect(server.credentials == nil)
    }

    @Test(arguments: ["smtp.example.com", "localhost", "10.0.0.1", "::1", "2001:db8::1.2.3.4"]) func takesNamesAndAddressesOfMailServers(host: String)
        throws
    {
        #expect(try Definitions.file(#"{"runtime":{"email":{"host":"\#(host)","from":"a@b"}}}"#).mailServer?.host == host)
    }

    @Test(arguments: ["", "a b", "10.0.0.1:25", "[::1]", "smtp://a", "a/b", "é", "::x", "a\\n"]) func refusesOtherHostsOfMailServers(host: String)
        throws
    {
        #expect(try Definitions.file(#"{"runtime":{"email":{"host":"\#(host)","from":"a@b"}}}"#).mistakes.count == 1)
    }

    @Test func prefersTemplates() throws {
        let file = try Definitions.file(
            #"{"runtime":{"email":{"host":"localhost","from":"a@b"}},"a":{"actions":[{"type":"email","to":"x@y","to_template":"{{ email }}","subject":"s","subject_template":"{{ id }}","body_template":"b","cc":"z@y"}]}}"#
        )
        let observer = try Self.only(file)
        guard case .email(let email) = observer.actions[0] else {
            Issue.record("another action")
            return
        }
        let message = try email.message(for: try EventSamples.insert(#"{"id":7,"email":"q@r"}"#))
        #expect(message.to.address == "q@r")
        #expect(message.subject == "7")
        #expect(
            file.notes == [
                "observers.a.actions[0].cc: is not sent to: neither FraiseQL nor slotstream-observer sends copies. Write another action.",
                "observers.a.actions[0].to: is not used: to_template is.", "observers.a.actions[0].subject: is not used: subject_template is.",
            ])
    }

    @Test func notesPlaceholdersThatAreNotReplaced() throws {
        let file = try Definitions.file(
            #"{"runtime":{"email":{"host":"localhost","from":"a@b","username_env":"MAIL_USER","password_env":"MAIL_PASSWORD","tls":"none"}},"a":{"actions":[{"type":"email","to":"x@y","subject":"Order {{ id }}","body_template":"b"}]}}"#
        )
        #expect(file.mistakes == [])
        #expect(
            file.notes == [
                "observers.runtime.email.tls: is none: the password goes to the mail server in the open. Write tls = \"start_tls\".",
                "observers.a.actions[0].subject: is sent unchanged. Write subject_template for a title with the event's values.",
            ])
    }

    @Test func notesConditionsThatAreTakenForTexts() throws {
        #expect(
            try Definitions.observer(#""condition":"status == paid""#).notes
                == ["observers.a.condition: offset 10: paid is neither a number nor true, false or null, and is taken as a text; write 'paid'"])
    }

    // MARK: - Secrets

    @Test func showsNoSecret() throws {
        let file = try Definitions.file(
            #"{"runtime":{"email":{"host":"h","from":"a@b","username_env":"MAIL_USER","password_env":"MAIL_PASSWORD"}},"a":{"actions":[{"type":"webhook","url_env":"HOOK_URL","headers":{"Authorization":"Bearer hidden"},"signing_secret":"s3cret"},{"type":"slack","webhook_url":"https://h.example/s3cret"}]}}"#
        )
        #expect(file.mistakes == [])
        var dumped = ""
        dump(file, to: &dumped)
        for secret in ["s3cret", "hidden", "m4il", "hooks.example.com/key"] {
            #expect(!dumped.contains(secret))
            #expect(!String(reflecting: file).contains(secret))
            #expect(!"\(file)".contains(secret))
        }
        #expect("\(ActionSecret("x")) \(String(reflecting: ActionSecret("x")))" == "*** ***")
    }
}
