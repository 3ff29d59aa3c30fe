import Settings
import Testing

@Suite struct ComplaintTests {
    @Test func tellsEverythingAtOnce() throws {
        var loading = Loading(
            """
            [sorce]
            url = "x"

            [source]
            sloot = "a"
            slot = "Not-A-Slot"
            url = "${NO_SUCH_VARIABLE}"

            [transport]
            transport = "postgres"

            [transport.nats.jetstream]
            dedup_window_minutes = 61
            max_age_day = 3

            [delivery]
            atomic = "on"

            [events]
            columns = 3
            "odd.key" = 1
            """)
        loading.environment = ["SLOTSTREAM_LOG_LEVEL": "loud", "SLOTSTREAM_SUORCE_SLOT": "b"]
        loading.flags = ["http.listn": "x", "http.listen": "7432"]
        do throws(SettingsError) {
            _ = try loading.load()
            Issue.record("it loaded")
        } catch {
            #expect(
                error.description == """
                    the configuration has 14 problems:
                      slotstream.toml:1: sorce: unknown key; did you mean source?
                      slotstream.toml:5: source.sloot: unknown key; did you mean source.slot?
                      slotstream.toml:6: source.slot = "Not-A-Slot": must be a slot name: 1 to 63 of a-z 0-9 _
                      slotstream.toml:7: source.url: the variable NO_SUCH_VARIABLE is not set; set NO_SUCH_VARIABLE, or write ${NO_SUCH_VARIABLE:-default}
                      slotstream.toml:10: transport.transport = "postgres": must be "nats"
                      slotstream.toml:13: transport.nats.jetstream.dedup_window_minutes = 61: must be an integer from 1 to 60
                      slotstream.toml:14: transport.nats.jetstream.max_age_day: unknown key; did you mean transport.nats.jetstream.max_age_days?
                      slotstream.toml:17: delivery.atomic = "on": must be one of "off", "auto"
                      slotstream.toml:20: events.columns: must be a table
                      slotstream.toml:21: events."odd.key": unknown key
                      env SLOTSTREAM_LOG_LEVEL: log.level = "loud": must be one of "trace", "debug", "info", "notice", "warning", "error"
                      env SLOTSTREAM_SUORCE_SLOT: unknown variable; did you mean SLOTSTREAM_SOURCE_SLOT?
                      flag: http.listen = "7432": must be host:port, :port for every address of this machine, or "" for off
                      flag: http.listn: unknown key; did you mean http.listen?
                    """)
        }
    }

    @Test func saysWhereTheFileIsNoTOML() {
        #expect(
            Loading("[source]\nslot = \"a\"\nslot = \"b\"\n").complaints == [
                "slotstream.toml:3: column 8: Error while parsing key-value pair: cannot redefine existing string 'slot'"
            ])
        let complaints = Loading("[source\nslot = 1\n", environment: ["SLOTSTREAM_LOG_LEVEL": "loud"]).complaints
        #expect(complaints.count == 2)
        #expect(complaints.first?.hasPrefix("slotstream.toml:1: column 8: ") == true)
    }

    @Test func refusesAFileThatIsNoText() {
        #expect(Loading("source.slot = \"a\"\0").complaints == ["slotstream.toml: cannot be read: not a text in UTF-8"])
    }

    @Test func leavesOtherProgramsVariablesAlone() throws {
        var loading = Loading(environment: [
            "SLOTSTREAM_SERVICE_HOST": "10.0.0.1", "SLOTSTREAM_SERVICE_PORT": "80",
            "SLOTSTREAM_SERVICE_PORT_HTTP": "80",
            "SLOTSTREAM_PORT": "tcp://10.0.0.1:80", "SLOTSTREAM_PORT_80_TCP": "tcp://10.0.0.1:80",
            "SLOTSTREAM_PORT_80_TCP_PROTO": "tcp", "SLOTSTREAM_PORT_80_TCP_PORT": "80",
            "SLOTSTREAM_DB_SERVICE_HOST": "fd00::1", "SLOTSTREAM_DB_SERVICE_PORT": "5432",
            "SLOTSTREAM_DB_PORT": "tcp://[fd00::1]:5432", "SLOTSTREAM_DB_PORT_5432_TCP_ADDR": "fd00::1",
            "PATH": "/bin", "slotstream_x": "y",
        ])
        #expect(loading.complaints == [])
        loading.environment["SLOTSTREAM_TOOLS"] = "/t"
        #expect(loading.complaints == ["env SLOTSTREAM_TOOLS: unknown variable"])
        loading.otherVariables = ["SLOTSTREAM_TOOLS"]
        #expect(loading.complaints == [])
    }

    /// A name that Kubernetes might have made is a mistake where it did not make it: without the Service's own variables, or with another value.
    @Test(arguments: [
        ("SLOTSTREAM_PORT", "7432"), ("SLOTSTREAM_HTTP_PORT", "7432"), ("SLOTSTREAM_PORT_7432_TCP", "7432"),
        ("SLOTSTREAM_PORT_7432_TCP_PORT", "80"), ("SLOTSTREAM_PORT_7432_TCP_HOST", "10.0.0.1"),
        ("SLOTSTREAM_TRANSPORT_NATS_PORT", "tcp://10.0.0.1:4222"), ("SLOTSTREAM_HTTP_SERVICE_PORT", "80"),
        ("SLOTSTREAM_HTTP_SERVICE_HOST", "10.0.0.1"), ("SLOTSTREAM_SERVICE_PORT_HTTP", "x"),
        ("SLOTSTREAM_PORT_x_TCP_PORT", "80"), ("SLOTSTREAM_HTTP_LISTEN_PORT", "7432"),
    ])
    func aMistypedPortIsNoVariableOfKubernetes(_ name: String, _ value: String) {
        #expect(Loading(environment: [name: value]).complaints.count == 1)
        // With a Service called `slotstream` beside it.
        let service = ["SLOTSTREAM_SERVICE_HOST": "10.0.0.1", "SLOTSTREAM_SERVICE_PORT": "80"]
        let complaints = Loading(environment: service.merging([name: value]) { $1 }).complaints
        #expect(complaints.count == 1 && complaints.first?.hasPrefix("env \(name): unknown variable") == true, "\(complaints)")
    }

    /// Whoever reads the log of a program is told of a wrong configuration as of all else: in the format that is chosen, as far as that can be told.
    @Test func saysHowItIsToBeLogged() {
        let cases: [(Loading, Configuration.LogFormat)] = [
            (Loading("log.format = \"json\"\nsource.slot = \"A\""), .json), (Loading("source.slot = \"A\""), .text),
            (Loading("log.format = \"jsn\""), .text), (Loading("[", environment: ["SLOTSTREAM_LOG_FORMAT": "json"]), .json),
            (Loading("log.format = \"json\"", flags: ["log.format": "text", "x": "y"]), .text),
        ]
        for (loading, format) in cases {
            do throws(SettingsError) {
                _ = try loading.load()
                Issue.record("it loaded")
            } catch {
                #expect(error.log.format == format)
            }
        }
    }
}
