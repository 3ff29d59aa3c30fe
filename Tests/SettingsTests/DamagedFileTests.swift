import Settings
import Testing

@Suite struct DamagedFileTests {
    private static let file = """
        # x
        [source]
        url = "postgres://app:${PW:-pw}@db/shop"
        tables = ["public.a", 'sales.*']
        [transport.nats]
        url = "nats://a:1,tls://b"
        tls = { ca_file = "" }
        [transport.nats.jetstream]
        max_bytes = 10_737_418_240
        [events.entities]
        "public.tb_order" = "Order"
        [events.identity]
        "public.tb_order" = ["id"]
        """

    /// Loads, and asks everything of what came of it.
    private func exercise(_ bytes: [UInt8]) {
        do {
            let loaded = try Configuration.load(environment: [:], workingDirectory: "/w") { path in
                path == "/w/slotstream.toml" ? .bytes(bytes) : .missing
            }
            #expect(loaded.toml.utf8.count > 0 && loaded.json.utf8.count > 0)
        } catch {
            #expect(!error.complaints.isEmpty && !error.description.isEmpty)
        }
    }

    @Test func loadsOrComplainsForEachPrefix() {
        let bytes = Array(Self.file.utf8)
        for end in bytes.indices { exercise(Array(bytes[..<end])) }
    }

    @Test func loadsOrComplainsForChangedBytes() {
        var generator = SplitMix(state: 42)
        let bytes = Array(Self.file.utf8)
        for index in bytes.indices {
            for _ in 0..<4 {
                var changed = bytes
                changed[index] = UInt8(truncatingIfNeeded: generator.next())
                exercise(changed)
            }
        }
    }

    @Test func survivesKeysThatNoOneWrites() {
        let odd = [
            "[$x]", "a = [}", "a = 1979-05-27T-", "a = 1979-05-27 }", "\"\" = 1", "\"a\\u0000b\" = 1",
            "[\"source\\u0000\"]\nslot = \"a\"", "\"source.slot\" = \"a\"", "source.\"slot\\u0000x\" = \"a\"",
            "[[source]]\nslot = \"a\"", "[events]\nentities.\"a\\u0000.b\" = \"x\"", "source = \"x\"",
            "\u{FEFF}source.slot = \"a\"",
            "events.entities." + String(repeating: "a.", count: 2_000) + "b = 1",
            "events.exclude = " + String(repeating: "[", count: 2_000) + String(repeating: "]", count: 2_000),
            "source.slot = \"" + String(repeating: "x", count: 1_000_000) + "\"",
        ]
        for text in odd { exercise(Array(text.utf8)) }
    }
}
