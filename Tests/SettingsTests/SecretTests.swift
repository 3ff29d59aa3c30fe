import Settings
import Testing

@Suite struct SecretTests {
    @Test func showsNothingOfItsValueHoweverItIsPrinted() {
        let secret = Secret("hunter2")
        var dumped = ""
        dump([secret], to: &dumped)
        for text in ["\(secret)", String(reflecting: secret), String(describing: [secret]), dumped] {
            #expect(!text.contains("hunter2"))
        }
        #expect("\(secret)" == "***")
        #expect(secret.value == "hunter2")
    }
}

/// A password, planted wherever somebody might put one, is in nothing that is printed.
@Suite struct PlantedSecretTests {
    private let planted = "hunter2"

    private func output(_ loading: Loading) -> String {
        do throws(SettingsError) {
            let loaded = try loading.load()
            var dumped = ""
            dump(loaded, to: &dumped)
            return [loaded.toml, loaded.json, "\(loaded)", String(reflecting: loaded.values), dumped].joined()
        } catch {
            var dumped = ""
            dump(error, to: &dumped)
            return [error.description, String(reflecting: error), dumped].joined()
        }
    }

    @Test(arguments: [
        "source.url = \"postgres://app:hunter2@db/shop\"",
        "source.url = \"host=db password=hunter2\"",
        "source.url = \"hunter2\"",
        "source.url = \"app:hunter2@db\"",
        "source.url = [\"postgres://app:hunter2@db\"]",
        "source.url = { password = \"hunter2\" }",
        "source.url = \"postgres://app:hunter2${@db\"",
        "source.url = \"postgres://app:hunter2@${UNSET}\"",
        "source.url = \"${DB_URL}\"",
        "source.url = \"postgres://app:${PASSWORD}@db\"",
        "source.url_file = \"postgres://app:hunter2@db\"",
        "source.url_file = \"url\"",
        "source.url_file = \"bad\"",
        "source = \"postgres://app:hunter2@db\"",
        "source.pasword = \"hunter2\"",
        "source.url.password = \"hunter2\"",
        "transport.nats.url = \"nats://app:hunter2@h\"",
        "transport.nats.url = \"nats://hunter2@h,nats://h\"",
        "transport.nats.url = \"nats://app:${PASSWORD}@h\"",
        "transport.nats.url = \"ws://app:hunter2@h\"",
        "transport.nats.url = \"nats://app:x,hunter2@h\"",
        "transport.nats.url = \"app:hunter2@h\"",
        "transport.nats.url = [\"nats://app:hunter2@h\"]",
        "transport.nats.password = \"hunter2\"",
        "transport.nats.password_file = \"url\"\ntransport.nats.user = \"u\"",
        "redis.url = \"redis://:hunter2@h\"",
        "source.url = postgres://app:hunter2@db",
        "source.url = hunter2",
        "source.url = 0hunter2",
        "source.url = 1hunter2",
        "source.url = truehunter2",
        "source.url = thunter2",
        "source.url = \"postgres://app:hunter2@db",
        "source.url = 'x'hunter2'y'",
        "source.url = inhunter2",
    ])
    func showsNoPassword(text: String) {
        let files = ["/w/url": "postgres://app:hunter2@db/shop", "/w/bad": "hunter2"]
        let environment = ["PASSWORD": planted, "DB_URL": "postgres://app:hunter2@db/shop"]
        #expect(!output(Loading(text, environment: environment, files: files)).contains("hunter2"))
    }

    @Test(arguments: [
        "SLOTSTREAM_SOURCE_URL", "SLOTSTREAM_TRANSPORT_NATS_URL", "FRAISEQL_NATS_URL", "DATABASE_URL",
        "SLOTSTREAM_PASSWORD",
        "SLOTSTREAM_TRANSPORT_NATS_PASSWORD_FILE",
    ])
    func showsNoPasswordOfTheEnvironment(variable: String) {
        for value in ["postgres://app:hunter2@db", "nats://app:hunter2@h", "app:hunter2@h"] {
            #expect(!output(Loading(environment: [variable: value])).contains(planted))
        }
    }

    @Test(arguments: ["nats://h:4222?token=hunter2", "nats://h:4222,tls://h/?p=hunter2", "nats://h#hunter2", "nats://h?x@hunter2"])
    func showsNoQueryOfANATSURL(url: String) {
        for loading in [
            Loading("transport.nats.url = \"\(url)\""), Loading(environment: ["SLOTSTREAM_TRANSPORT_NATS_URL": url]),
            Loading(flags: ["transport.nats.url": url]),
        ] {
            #expect(!loading.complaints.isEmpty)
            #expect(!output(loading).contains(planted))
        }
    }

    @Test func refusesAPasswordInAFlag() {
        for (key, value) in [
            ("source.url", "postgres://app:hunter2@db"), ("source.url", "host=db password=hunter2"),
            ("transport.nats.url", "nats://app:hunter2@h"),
        ] {
            let loading = Loading(flags: [key: value])
            #expect(loading.complaints.count == 1 && loading.complaints[0].contains("contains a password"))
            #expect(!output(loading).contains(planted))
        }
        #expect(Loading(flags: ["source.url": "host=db user=app", "transport.nats.url": "nats://h"]).complaints == [])
    }
}
