import Testing

@testable import Settings

@Suite struct RedactionTests {
    @Test(arguments: [
        ("", ""),
        ("postgres://db/shop", "postgres://db/shop"),
        ("postgres://app@db/shop", "postgres://app@db/shop"),
        ("postgresql://app:hunter2@db:5432/shop?sslmode=require", "postgresql://app:***@db:5432/shop?sslmode=require"),
        ("postgres://app:hun@ter2@db/shop", "postgres://app:***@db/shop"),
        ("postgres://app:hun/ter2@db/shop", "postgres://app:***@db/shop"),
        ("postgres://app:hun?ter2@db/shop", "postgres://***"),
        ("postgres://app:hun?x=y@ter2@db/shop", "postgres://***"),
        ("postgres://db/shop?user=app&password=hunter2", "postgres://db/shop?user=app&***"),
        ("postgres://db/shop?pass%77ord=hunter2&sslpassword=hunter2", "postgres://db/shop?***&***"),
        ("postgres://db/shop?pasword=hunter2&hunter2", "postgres://db/shop?***&***"),
        ("host=db password=hunter2 dbname=shop", "host=db password=*** dbname=shop"),
        ("host = db password = 'hun ter2' user = app", "host=db password=*** user=app"),
        ("password='hun\\'ter2' host=db", "password=*** host=db"),
        ("password=hun\\ ter2 host=db", "password=*** host=db"),
        ("sslpassword=hunter2 pasword=hunter2", "sslpassword=*** pasword=***"),
        ("dbname=postgres://app:hunter2@db/shop", "dbname=***"),
        ("dbname='password=hunter2'", "dbname=***"),
        ("password=hun ter2", "***"),
        ("password='hunter2", "***"),
        ("app:hunter2@db/shop", "***"),
        ("hunter2", "***"),
        ("options='-c search_path=x' host=db", "options='-c search_path=x' host=db"),
    ])
    func hidesPasswordsOfConnectionStrings(text: String, shown: String) {
        #expect(Redaction.connectionString(text) == shown)
        #expect(!Redaction.connectionString(text).contains("ter2"))
    }

    @Test(arguments: [
        ("nats://h:4222", "nats://h:4222"), ("nats://app:hunter2@h", "nats://***@h"),
        ("tls://hunter2@h:1", "tls://***@h:1"),
        ("app:hunter2@h", "***"), ("nats://a:hun@ter2@h", "nats://***@h"),
        ("nats://h:4222?token=hunter2", "nats://h:4222?***"), ("tls://h/?hunter2#x", "tls://h/?***"),
        ("nats://h#hunter2", "nats://h#***"), ("nats://a:b@h?hunter2", "nats://***@h?***"),
        ("nats://h?token=x@hunter2", "nats://***"),
    ])
    func hidesCredentialsOfNATSURLs(text: String, shown: String) {
        #expect(Redaction.natsURL(text) == shown)
        #expect(!Redaction.natsURLs("nats://first," + text).contains("hunter2"))
    }

    @Test func hidesAURLThatStandsWhereAPathBelongs() {
        #expect(Redaction.path("/run/secrets/url") == "/run/secrets/url")
        #expect(Redaction.path("/etc/slotstream@prod/url") == "/etc/slotstream@prod/url")
        #expect(Redaction.path("app:hunter2@db/shop") == "***")
        #expect(Redaction.path("postgres://app:hunter2@db") == "***")
        #expect(Redaction.path("host=db password=hunter2") == "***")
    }
}
