import Testing

@testable import Observing

@Suite struct MistakeTests {
    /// Each whole, as the user reads it.
    @Test(arguments: [
        // What is not an observer.
        (#"[1]"#, ["observers[0]: is an integer; expected is a table; an observer is written [[observers]]"]),
        (#""x""#, ["observers: is a text; a table is expected: [observers.NAME]"]),
        (#"{"enabled":true}"#, ["observers.enabled: is true or false; expected is a table; an observer is written [observers.NAME]"]),
        (#"{"a":{}}"#, ["observers.a.actions: is missing; write at least one [[observers.NAME.actions]] with a type"]),
        (#"{"a":{"actions":[]}}"#, ["observers.a.actions: is empty; write at least one action"]),
        (#"{"a":{"actions":{}}}"#, ["observers.a.actions: is a table; expected is a list of tables: [[observers.NAME.actions]]"]),
        (#"{"a b":{"actions":[1]}}"#, [#"observers."a b".actions[0]: is an integer; expected is a table"#]),
        (
            #"{"":{"actions":[{"type":"log","message_template":"x"}]}}"#,
            [#"observers."": the name must have 1 to 255 bytes and no control characters"#]
        ),
        (
            #"{"a":{"name":"b","actions":[{"type":"log","message_template":"x"}]}}"#,
            ["observers.a.name: is said by the table's own name; remove the key, or write [[observers]]"]
        ),
        (
            #"[{"name":"a","actions":[{"type":"log","message_template":"x"}]},{"name":"a","actions":[{"type":"log","message_template":"x"}]}]"#,
            [#"observers[1].name: another observer has the name "a"; each needs its own"#]
        ),
    ])
    func tellsWhatIsNoObserver(json: String, mistakes: [String]) throws {
        #expect(try Definitions.file(json).mistakes.map(\.description) == mistakes)
    }

    @Test(arguments: [
        (
            #""event_typ":"INSERT""#,
            "event_typ: unknown key; allowed are description, entity, event_type, condition, on_failure, retry, actions, priority, timeout_ms, enabled; did you mean event_type?"
        ),
        (
            #""event_type":"UPDAT""#,
            #"event_type: "UPDAT" is no kind of event; allowed are INSERT, UPDATE, DELETE, READ, CUSTOM, in any case; did you mean UPDATE?"#
        ),
        (#""event_type":1"#, "event_type: is an integer; expected is a text"),
        (#""entity":"""#, #"entity: is empty; write the entity's exact name, or "*" for all"#),
        (#""condition":"total = 1""#, "condition: the condition is wrong at offset 6: = is no operator; allowed are == != >= <= > <"),
        (
            #""condition":"""#,
            "condition: the condition is wrong at offset 0: the condition is empty; write one, or leave the key out for every event"
        ),
        (#""on_failure":"dql""#, #"on_failure: "dql" is not allowed; allowed are log, alert, dlq; did you mean dlq?"#),
        (#""priority":1001"#, "priority: must be an integer from 0 to 1000"),
        (#""priority":"x""#, "priority: must be an integer from 0 to 1000"),
        (#""timeout_ms":0"#, "timeout_ms: must be an integer from 1 to 86400000"),
        (#""enabled":1"#, "enabled: must be true or false"), (#""retry":1"#, "retry: is an integer; expected is a table"),
        (#""retry":{"max_attempts":0}"#, "retry.max_attempts: must be an integer from 1 to 1000"),
        (#""retry":{"max_attempts":1.5}"#, "retry.max_attempts: must be an integer from 1 to 1000"),
        (#""retry":{"initial_delay_ms":-1}"#, "retry.initial_delay_ms: must be an integer from 0 to 86400000"),
        (
            #""retry":{"backoff":"linear"}"#,
            "retry.backoff: unknown key; allowed are max_attempts, initial_delay_ms, max_delay_ms, backoff_strategy"
        ),
        (#""retry":{"backoff_strategy":"expo"}"#, #"retry.backoff_strategy: "expo" is not allowed; allowed are exponential, linear, fixed"#),
    ])
    func tellsWhatIsWrongWithAnObserver(members: String, mistake: String) throws {
        let file = try Definitions.observer(members)
        #expect(file.mistakes.map(\.description) == ["observers.a." + mistake])
        #expect(file.definitions.isEmpty)
    }

    @Test(arguments: [
        (#"{"url":"https://x"}"#, "type: is missing; allowed are webhook, slack, email, database, log, nats"),
        (
            #"{"type":"webhok","url":"https://x"}"#,
            #"type: "webhok" is no action; allowed are webhook, slack, email, database, log, nats; did you mean webhook?"#
        ),
        (
            #"{"type":"sms"}"#,
            "type: sms is not done: FraiseQL has no way to send an SMS either; write a webhook to your provider. Allowed are webhook, slack, email, database, log, nats"
        ),
        (
            #"{"type":"push"}"#,
            "type: push is not done: FraiseQL has no way to send a push message either; write a webhook to your provider. Allowed are webhook, slack, email, database, log, nats"
        ),
        (
            #"{"type":"search"}"#,
            "type: search is not done: FraiseQL has no way to update an index either; write a webhook to your search server. Allowed are webhook, slack, email, database, log, nats"
        ),
        (
            #"{"type":"cache"}"#,
            "type: cache is not done: the action needs Redis, which slotstream-observer does not speak; write a webhook or a database action. Allowed are webhook, slack, email, database, log, nats"
        ),
        // Webhooks.
        (#"{"type":"webhook"}"#, #"url: is missing; write url = "https://…", or url_env with the name of a variable"#),
        (#"{"type":"webhook","url":"https://x","url_env":"HOOK_URL"}"#, "url: url and url_env exclude each other; remove one"),
        (
            #"{"type":"webhook","url_env":"MISSING"}"#,
            "url_env: the variable MISSING is not set; set MISSING in the environment of slotstream-observer"
        ),
        (#"{"type":"webhook","url_env":"EMPTY"}"#, "url_env: the variable EMPTY is empty; set EMPTY in the environment of slotstream-observer"),
        (
            #"{"type":"webhook","url_env":"https://key"}"#,
            "url_env: must be the name of a variable of the environment (letters, digits and _), not the value itself"
        ),
        (#"{"type":"webhook","url_env":"BAD_URL"}"#, "url_env: the address must begin with https:// or http://"),
        (
            #"{"type":"webhook","url":"https://x/{{ id }}"}"#,
            "url: the address has a template: an address is fixed, nothing of an event ever becomes part of one; put the event's values in body_template"
        ),
        (#"{"type":"webhook","url":"https://x","method":"TRACE"}"#, #"method: "TRACE" is not allowed; allowed are POST, PUT, PATCH, DELETE, GET"#),
        (#"{"type":"webhook","url":"https://x","body_template":""}"#, "body_template: is empty; write a text, or leave the key out"),
        (#"{"type":"webhook","url":"https://x","signing_secret":""}"#, "signing_secret: is empty; write a text, or leave the key out"),
        (
            #"{"type":"webhook","url":"https://x","signing_secret":"a","signing_secret_env":"SIGNING_KEY"}"#,
            "signing_secret: signing_secret and signing_secret_env exclude each other; remove one"
        ),
        (
            #"{"type":"webhook","url":"https://x","headers":{"Idempotency-key":"1"}}"#,
            "headers.Idempotency-key: is set by slotstream-observer itself; remove the header"
        ),
        (#"{"type":"webhook","url":"https://x","headers":{"HOST":"1"}}"#, "headers.HOST: is set by slotstream-observer itself; remove the header"),
        (
            #"{"type":"webhook","url":"https://x","headers":{"X-Fraiseql-Signature-256":"1"}}"#,
            "headers.X-Fraiseql-Signature-256: is set by slotstream-observer itself; remove the header"
        ),
        (
            #"{"type":"webhook","url":"https://x","headers":{"a b":"1"}}"#,
            #"headers."a b": is no name of a header; allowed are letters, digits and !#$%&'*+-.^_`|~"#
        ),
        (
            #"{"type":"webhook","url":"https://x","headers":{"a\r\nb":"1"}}"#,
            #"headers."a  b": is no name of a header; allowed are letters, digits and !#$%&'*+-.^_`|~"#
        ),
        (
            #"{"type":"webhook","url":"https://x","headers":{"a":"1\r\nb: 2"}}"#,
            "headers.a: must be at most 8192 printable ASCII characters on one line"
        ),
        (
            #"{"type":"webhook","url":"https://x","headers":{"a":"{{ id }}"}}"#,
            "headers.a: has a template; a header is fixed, nothing of an event ever becomes part of one"
        ),
        (#"{"type":"webhook","url":"https://x","headers":{"a":1}}"#, "headers.a: is no text; a header's value is one"),
        (#"{"type":"webhook","url":"https://x","headers":{"A":"1","a":"2"}}"#, "headers.a: stands here twice, in another case"),
        (
            #"{"type":"webhook","url":"https://x","header":{}}"#,
            "header: unknown key; allowed are type, url, url_env, method, headers, body_template, signing_secret, signing_secret_env; did you mean headers?"
        ),
        // The others.
        (#"{"type":"slack"}"#, #"webhook_url: is missing; write webhook_url = "https://…", or webhook_url_env with the name of a variable"#),
        (#"{"type":"slack","webhook_url":"https://x","channel":""}"#, "channel: is empty; write a text, or leave the key out"),
        (#"{"type":"database"}"#, #"function_name: is missing; write function_name = "schema.name""#),
        (
            #"{"type":"database","function_name":"fn(); DROP TABLE x"}"#,
            #"function_name: "fn(); DROP TABLE x" is no function's name; write name or schema.name, of letters, digits, _ and $, without quotes and parentheses"#
        ),
        (
            #"{"type":"database","function_name":"a.b.c"}"#,
            #"function_name: "a.b.c" is no function's name; write name or schema.name, of letters, digits, _ and $, without quotes and parentheses"#
        ),
        (
            #"{"type":"database","function_name":"a."}"#,
            #"function_name: "a." is no function's name; write name or schema.name, of letters, digits, _ and $, without quotes and parentheses"#
        ),
        (
            #"{"type":"database","function_name":"1a"}"#,
            #"function_name: "1a" is no function's name; write name or schema.name, of letters, digits, _ and $, without quotes and parentheses"#
        ),
        (#"{"type":"log"}"#, #"message_template: is missing; write message_template = "…""#),
        (
            #"{"type":"log","message_template":"x","level":"warning"}"#,
            #"level: "warning" is not allowed; allowed are trace, debug, info, warn, error"#
        ),
        (#"{"type":"nats"}"#, #"subject: is missing; write subject = "orders.{{ status }}""#),
        (
            #"{"type":"nats","subject":"a b"}"#,
            "subject: has a character that a subject here may not have; allowed are A-Z a-z 0-9 _ - . % $ = : / @ + ~ and places, {{ key }}"
        ),
        (
            #"{"type":"nats","subject":"a.*"}"#,
            "subject: has a character that a subject here may not have; allowed are A-Z a-z 0-9 _ - . % $ = : / @ + ~ and places, {{ key }}"
        ),
        (
            #"{"type":"nats","subject":"a.>"}"#,
            "subject: has a character that a subject here may not have; allowed are A-Z a-z 0-9 _ - . % $ = : / @ + ~ and places, {{ key }}"
        ),
        (#"{"type":"nats","subject":"a..b"}"#, "subject: has an empty token; write the tokens with one dot between two of them, as in orders.paid"),
        (#"{"type":"nats","subject":""}"#, "subject: has an empty token; write the tokens with one dot between two of them, as in orders.paid"),
        (
            #"{"type":"nats","subject":"{{ id }}."}"#,
            "subject: has an empty token; write the tokens with one dot between two of them, as in orders.paid"
        ),
        (#"{"type":"nats","subject":"$JS.API.STREAM.DELETE.x"}"#, "subject: begins with $JS, which is the server's own"),
        (
            #"{"type":"nats","subject":"fraiseql.mutation.Order.INSERT"}"#,
            "subject: may lie under fraiseql.mutation, where only the streamer publishes; begin with another token, as in observed.…"
        ),
        (
            #"{"type":"nats","subject":"{{ a }}.{{ b }}.{{ c }}"}"#,
            "subject: may lie under fraiseql.mutation, where only the streamer publishes; begin with another token, as in observed.…"
        ),
        (
            #"{"type":"nats","subject":"fraise{{ a }}.mutation.x"}"#,
            "subject: may lie under fraiseql.mutation, where only the streamer publishes; begin with another token, as in observed.…"
        ),
        (
            #"{"type":"email","to":"a@b","subject":"x","body_template":"y"}"#,
            "needs a mail server; write [observers.runtime.email] with host and from"
        ),
    ])
    func tellsWhatIsWrongWithAnAction(json: String, mistake: String) throws {
        let file = try Definitions.action(json)
        let separator = mistake.hasPrefix("needs") ? ": " : "."
        #expect(file.mistakes.map(\.description) == ["observers.a.actions[0]" + separator + mistake])
        #expect(file.definitions.isEmpty)
    }

    @Test(arguments: [
        "orders.x", "fraiseql.mutation", "fraiseql.mutations.x", "fraiseql.{{ a }}", "observed.fraiseql.mutation.x", "o.a-{{ b }}.c", "{{ a }}.x",
        "{{ a }}",
    ])
    func takesSubjectsElsewhere(subject: String) throws {
        #expect(try Definitions.action(#"{"type":"nats","subject":"\#(subject)"}"#).mistakes == [])
    }

    @Test(arguments: [
        (#"{}"#, ["host: is missing; write host = \"smtp.example.com\"", "from: is missing; write from = \"orders@example.com\""]),
        (
            #"{"host":"smtp.example.com:25","from":"a@b"}"#,
            [#"host: "smtp.example.com:25" is no host's name or address; write smtp.example.com, and the port as port = 587"#]
        ),
        (#"{"host":"h","from":"nobody"}"#, [#"from: "nobody" is not one email address; write name@example.com or Name <name@example.com>"#]),
        (#"{"host":"h","from":"a@b","port":0}"#, ["port: must be an integer from 1 to 65535"]),
        (
            #"{"host":"h","from":"a@b","tls":"starttls"}"#,
            [#"tls: "starttls" is not allowed; allowed are start_tls, tls, none; did you mean start_tls?"#]
        ),
        (#"{"host":"h","from":"a@b","timeout_secs":0}"#, ["timeout_secs: must be an integer from 1 to 600"]),
        (
            #"{"host":"h","from":"a@b","username_env":"MAIL_USER"}"#,
            ["password_env: is missing beside username_env; write both, or none for a server that asks for nothing"]
        ),
        (
            #"{"host":"h","from":"a@b","username_env":"MAIL_USER","password_env":"NOPE"}"#,
            ["password_env: the variable NOPE is not set; set NOPE in the environment of slotstream-observer"]
        ),
        (
            #"{"host":"h","from":"a@b","password":"s3cret"}"#,
            ["password: unknown key; allowed are host, port, from, username_env, password_env, tls, timeout_secs"]
        ),
    ])
    func tellsWhatIsWrongWithTheMailServer(json: String, mistakes: [String]) throws {
        let file = try Definitions.file(#"{"runtime":{"email":\#(json)}}"#)
        #expect(file.mistakes.map(\.description) == mistakes.map { "observers.runtime.email." + $0 })
        #expect(file.mailServer == nil)
    }

    @Test func tellsOfKeysThatRuntimeDoesNotHave() throws {
        #expect(
            try Definitions.file(#"{"runtime":{"emial":{}}}"#).mistakes.map(\.description)
                == ["observers.runtime.emial: unknown key; allowed are email; did you mean email?"])
    }

    @Test func boundsTemplates() throws {
        for text in [String(repeating: "x", count: 65_537), String(repeating: "{{ a }}", count: 101)] {
            #expect(
                try Definitions.action(#"{"type":"log","message_template":"\#(text)"}"#).mistakes.map(\.description)
                    == ["observers.a.actions[0].message_template: must have at most 65536 bytes and 100 places, {{ key }}"])
        }
        #expect(try Definitions.action(#"{"type":"log","message_template":"\#(String(repeating: "{{ a }}", count: 100))"}"#).mistakes == [])
        for subject in [String(repeating: "x", count: 2_049), String(repeating: "{{ a }}", count: 101)] {
            #expect(
                try Definitions.action(#"{"type":"nats","subject":"\#(subject)"}"#).mistakes.map(\.description)
                    == ["observers.a.actions[0].subject: must have at most 2048 bytes and 100 places, {{ key }}"])
        }
    }

    @Test func tellsAllAtOnce() throws {
        let file = try Definitions.file(
            #"{"a":{"event_type":"X","condition":"(","retry":{"max_attempts":0,"x":1},"actions":[{"type":"webhook"},{"type":"sms"},{"type":"log"}]},"b":{"actions":[{"type":"log","message_template":"x"}]}}"#
        )
        #expect(file.mistakes.count == 7)
        #expect(file.definitions.map(\.name) == ["b"])
    }

    @Test func showsNoSecret() throws {
        let file = try Definitions.file(
            #"{"a":{"actions":[{"type":"webhook","url":"ftp://s3cret"},{"type":"webhook","url":"https://x","headers":{"A":"s3cret\n"},"signing_secret":["s3cret"]},{"type":"slack","webhook_url_env":"s3cret!"}]}}"#
        )
        #expect(file.mistakes.count == 4)
        #expect(!file.mistakes.map(\.description).joined().contains("s3cret"))
    }
}
