import Testing

@testable import ObserverWork

/// What is stored of an event that died.
@Suite struct DeadLetterTests {
    private func letter(_ payload: [UInt8]?) -> DeadLetter {
        DeadLetter(
            id: DeadLetter.id(eventID: "1.2.3", consumer: "c", observer: "paid"), eventID: "1.2.3", stream: "s", sequence: 7,
            subject: "p.Order.INSERT", consumer: "c", observer: "paid", action: (1, "webhook"), reason: .permanent, error: "answered 400: \"no\"\n",
            attempts: 2, deliveries: 1, firstAt: "2026-11-29T00:00:00.000000+00:00", lastAt: nil, payload: payload)
    }

    @Test(arguments: [#"{"a":1.50,"event":{"b":[1,2]},"z":"ü\u0000"}"#, "{}", "no JSON", "", "[1]", "{\"a\":}", "\u{FEFF}{}"])
    func isReadAsItWasWritten(_ text: String) throws {
        let written = letter(Array(text.utf8))
        let read = try #require(DeadLetter(json: written.json()))
        #expect(read == written)
        #expect(read.payload.map { String(decoding: $0, as: UTF8.self) } == text)
        #expect(!written.json().contains(UInt8(ascii: "\n")))
    }

    @Test func bytesThatAreNoTextAreKept() throws {
        let bytes: [UInt8] = [0x7B, 0xFF, 0x00, 0x7D]
        #expect(try #require(DeadLetter(json: letter(bytes).json())).payload == bytes)
    }

    @Test func anEventThatIsGoneIsAbsent() throws {
        #expect(try #require(DeadLetter(json: letter(nil).json())).payload == nil)
    }

    @Test(arguments: ["{}", "", "[]", #"{"schema":"slotstream.dead_letter/2"}"#])
    func whatIsNoneIsRefused(_ text: String) {
        #expect(DeadLetter(json: Array(text.utf8)) == nil)
    }

    @Test(arguments: [600, 5_000])
    func anEventThatIsNestedDeeplyIsKept(_ depth: Int) throws {
        let text = "{\"a\":" + String(repeating: "[", count: depth) + String(repeating: "]", count: depth) + "}"
        #expect(try #require(DeadLetter(json: letter(Array(text.utf8)).json())).payload == Array(text.utf8))
    }

    @Test func oneWithoutItsEventSaysSo() throws {
        let read = try #require(DeadLetter(json: letter(Array("{}".utf8)).withoutEvent.json()))
        #expect(read.isEventOmitted && read.payload == nil)
        #expect(read.isOfSameFailure(as: letter(Array("{}".utf8))))
    }

    @Test(arguments: [-1, Int.max])
    func anActionThatNoObserverHasIsRefused(_ index: Int) {
        var written = letter(nil)
        written.action = (index, "webhook")
        #expect(DeadLetter(json: written.json()) == nil)
    }

    @Test func aLongIDIsADigest() {
        let id = DeadLetter.id(eventID: String(repeating: "x", count: 70_000), consumer: "c", observer: "o")
        #expect(id.utf8.count < 100 && id.hasPrefix("sha256-") && id.hasSuffix(".dead.c.o"))
    }

    @Test func theIDIsAHeadersValue() {
        #expect(DeadLetter.id(eventID: "a b\r\nü", consumer: "c", observer: "o p") == "a%20b%0D%0A%C3%BC.dead.c.o%20p")
    }
}
