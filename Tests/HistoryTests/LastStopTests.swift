import Testing

@testable import History

@Suite struct LastStopTests {
    private let stop = LastStop(
        slot: "s", reason: .poisonEvent, at: "2026-11-23T07:09:12.123456+00:00", message: "public.payments at 0/21410948:\n2.2 MB",
        remedy: "1. Do this. 2. Do that", eventsPerSecond: 310, version: "0.1.0")

    @Test func isOneLineOfStableNames() {
        #expect(
            String(decoding: stop.json(), as: UTF8.self)
                == #"{"at":"2026-11-23T07:09:12.123456+00:00","events_per_second":310,"exit_code":65,"message":"public.payments at 0/21410948:; 2.2 MB","reason":"poison_event","remedy":"1. Do this. 2. Do that","schema":"slotstream.last_stop/1","slot":"s","version":"0.1.0"}"#
        )
    }

    @Test func isReadBack() { #expect(LastStop(json: stop.json()) == stop) }

    @Test(arguments: ["", "{}", "[]", #"{"schema":"slotstream.last_stop/2"}"#, #"{"schema":"slotstream.last_stop/1","slot":1}"#])
    func whatIsNoneIsNone(_ text: String) { #expect(LastStop(json: Array(text.utf8)) == nil) }

    /// A later version's members are passed over.
    @Test func furtherMembersDoNotMatter() throws {
        var json = stop.json()
        json.replaceSubrange(0..<1, with: Array(#"{"later":{"a":1},"#.utf8))
        #expect(LastStop(json: json) == stop)
    }
}
