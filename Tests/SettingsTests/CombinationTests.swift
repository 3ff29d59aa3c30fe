import Capture
import Pipeline
import Testing

@testable import Settings

@Suite struct CombinationTests {
    private let keyFiles = ["/w/a": "x", "/w/b": "x", "/w/url": "postgres://h/d"]

    private func complaints(_ text: String) -> [String] { Loading(text, files: keyFiles).complaints }

    @Test func takesOneWayToAuthenticate() {
        #expect(complaints("transport.nats.credentials_file = \"a\"") == [])
        #expect(complaints("transport.nats.user = \"u\"\ntransport.nats.password_file = \"a\"") == [])
        #expect(
            complaints("transport.nats.credentials_file = \"a\"\ntransport.nats.token_file = \"b\"") == [
                "slotstream.toml:2: transport.nats.token_file and transport.nats.credentials_file exclude each other: remove one"
            ])
        #expect(
            complaints(
                "transport.nats.nkey_seed_file = \"a\"\ntransport.nats.user = \"u\"\ntransport.nats.password_file = \"b\""
            ) == [
                "slotstream.toml:2: transport.nats.user and transport.nats.nkey_seed_file exclude each other: remove one"
            ])
        #expect(
            complaints("transport.nats.url = \"nats://t@h\"\ntransport.nats.nkey_seed_file = \"a\"") == [
                "slotstream.toml:2: transport.nats.nkey_seed_file and transport.nats.url exclude each other: remove one"
            ])
    }

    @Test func wantsBothHalvesOfAPair() {
        #expect(
            complaints("transport.nats.user = \"u\"") == [
                "slotstream.toml:1: transport.nats.user needs transport.nats.password_file as well"
            ])
        #expect(
            complaints("transport.nats.password_file = \"a\"") == [
                "slotstream.toml:1: transport.nats.password_file needs transport.nats.user as well"
            ])
        #expect(
            complaints("transport.nats.tls.key_file = \"a\"") == [
                "slotstream.toml:1: transport.nats.tls.key_file needs transport.nats.tls.certificate_file as well"
            ])
    }

    @Test func wantsAKeyForDigestsAndNoColumnUnderTwoRules() throws {
        let mask = "events.columns.mask = { \"public.tb_u\" = { a = \"hmac\" } }"
        #expect(complaints(mask) == ["slotstream.toml:1: events.columns.mask needs events.mask_key_file as well"])
        #expect(complaints("events.columns.mask = { \"public.tb_u\" = { a = \"text:x\" } }") == [])
        let loaded = try Loading(mask + "\nevents.mask_key_file = \"key\"", files: ["/w/key": "secret\n\n"]).load()
        #expect(loaded.values.events.maskKey?.value == Array("secret\n".utf8))
        #expect("\(loaded.values)".contains("secret") == false && loaded.toml.contains("secret") == false)
        #expect(
            Loading(mask + "\nevents.mask_key_file = \"key\"", files: ["/w/key": "\n"]).complaints == [
                "slotstream.toml:2: events.mask_key_file = \"key\": the file cannot be read: the file has no key"
            ])
        #expect(
            complaints(
                "[events.columns.exclude]\n\"public.tb_u\" = [\"a\", \"b\"]\n[events.identity]\n\"public.tb_u\" = [\"a\"]\n[events.columns.mask]\n\"public.tb_u\" = { b = \"text:x\" }"
            ) == [
                "slotstream.toml:3: events.identity = \"public.tb_u\": \"a\": must be another column: events.columns.exclude excludes this column",
                "slotstream.toml:5: events.columns.mask = \"public.tb_u\": \"b\": must be another column: events.columns.exclude excludes this column",
            ])
    }

    @Test func keepsTheReservedEntityForItself() {
        let own = "which is Slotstream's own"
        #expect(
            complaints(
                "[events.entities]\n\"public.tb_a\" = \"A\"\n\"public.tb_b\" = \"_slotstream\"\n\"public.tb_c?\" = \"_\u{17F}lotStream\"\n\"public.tb_d\" = \"slotstream\""
            ) == [
                "slotstream.toml:3: events.entities = \"public.tb_b\": \"_slotstream\": must be another entity: _slotstream is Slotstream's own, in any case",
                "slotstream.toml:4: events.entities = \"public.tb_c?\": \"_\u{17F}lotStream\": must be another entity: _slotstream is Slotstream's own, in any case",
            ])
        // The template joins what each alone would let pass.
        #expect(
            complaints("events.subject = \"{prefix}._{entity}.x\"\nevents.entities.\"public.tb_d\" = \"SlotStream\"") == [
                "slotstream.toml:2: events.entities = \"public.tb_d\": \"SlotStream\": must be another entity: events.subject makes of this one the token _slotstream, \(own)"
            ])
        for (template, prefix) in [("{prefix}.{prefix}.{entity}", "_slotstream.shop"), ("{prefix}._{prefix}", "slotstream")] {
            #expect(
                complaints("transport.nats.subject_prefix = \"\(prefix)\"\nevents.subject = \"\(template)\"") == [
                    "slotstream.toml:2: events.subject = \"\(template)\": must be another template: with this prefix, this template makes the token _slotstream, \(own)"
                ])
        }
        // What a row decides on is not known here; other tokens may be called so.
        #expect(complaints("events.subject = \"{prefix}.{column:a}._slotstream\"\nevents.entities.\"public.a\" = \"_slotstreams\"") == [])
    }

    @Test func takesAMarkForNamesThatMayBeAbsent() throws {
        let values = try Loading(
            "[events.columns.exclude]\n\"public.tb_u?\" = [\"a\", \"b?\"]\n[events.columns.mask]\n\"public.tb_v\" = { c = \"text:x\", d?? = \"text:y\" }"
                .replacing("d??", with: "\"d??\"")
        ).values
        let streamer = values.streamer
        #expect(streamer.capture.excludedColumns == ["public.tb_u": ["a", "b"]])
        // One mark only: the rest is the column's own name.
        #expect(streamer.capture.masks == ["public.tb_v": ["c": .text("x"), "d?": .text("y")]])
        #expect(streamer.ruledTables.map(\.name) == ["public.tb_u", "public.tb_v"])
        #expect(streamer.ruledTables.map(\.mayBeAbsent) == [true, false])
        #expect(
            streamer.ruledTables[0].columns == [
                .init(name: "a", mayBeAbsent: false), .init(name: "b", mayBeAbsent: true),
            ])
    }

    @Test func takesTheMarkForIdentitiesAndEntitiesToo() throws {
        let streamer = try Loading(
            """
            [events.identity]
            "public.tb_u" = ["a", "b?", "c??"]
            "public.tb_v?" = ["d?"]
            [events.entities]
            "public.tb_w?" = "W"
            "public.tb_x" = "X"
            """
        ).values.streamer
        #expect(streamer.capture.identities == ["public.tb_u": ["a"], "public.tb_v": []])
        #expect(streamer.capture.optionalIdentities == ["public.tb_u": ["b", "c?"], "public.tb_v": ["d"]])
        #expect(streamer.capture.entities == ["public.tb_w": "W", "public.tb_x": "X"])
        #expect(
            streamer.ruledTables == [
                .init(
                    section: .identity, name: "public.tb_u", mayBeAbsent: false,
                    columns: [
                        .init(name: "a", mayBeAbsent: false), .init(name: "b", mayBeAbsent: true),
                        .init(name: "c?", mayBeAbsent: true),
                    ]),
                .init(
                    section: .identity, name: "public.tb_v", mayBeAbsent: true,
                    columns: [.init(name: "d", mayBeAbsent: true)]),
                .init(section: .entities, name: "public.tb_w", mayBeAbsent: true, columns: []),
                .init(section: .entities, name: "public.tb_x", mayBeAbsent: false, columns: []),
            ])
        #expect(
            complaints("[events.columns.exclude]\n\"public.tb_u\" = [\"a\"]\n[events.identity]\n\"public.tb_u?\" = [\"a?\"]")
                .count == 1)
    }

    @Test func takesTheURLOrItsFile() {
        #expect(
            complaints("source.url = \"host=h\"\nsource.url_file = \"url\"") == [
                "slotstream.toml:2: source.url_file and source.url exclude each other: remove one"
            ])
        #expect(complaints("source.url = \"\"\nsource.url_file = \"url\"") == [])
    }

    @Test func checksThatKeyFilesCanBeRead() {
        let text = """
            [transport.nats]
            credentials_file = "absent"
            [transport.nats.tls]
            ca_file = "/forbidden"
            [source]
            url_file = "empty"
            """
        let files = ["/forbidden": "forbidden", "/w/empty": ""]
        #expect(
            Loading(text, files: files).complaints == [
                "slotstream.toml:2: transport.nats.credentials_file = \"absent\": the file cannot be read: no such file",
                "slotstream.toml:4: transport.nats.tls.ca_file = \"/forbidden\": the file cannot be read: permission denied",
                "slotstream.toml:6: source.url_file = \"empty\": the file cannot be read: the file is empty",
            ])
    }

    @Test func checksWhatTheURLsFileHolds() {
        #expect(
            Loading("source.url_file = \"u\"", files: ["/w/u": "hunter2"]).complaints == [
                "contents of u: source.url = \"***\": must be postgres://…, postgresql://…, or libpq's keyword=value pairs"
            ])
    }
}
