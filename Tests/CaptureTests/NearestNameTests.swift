import Testing

@testable import Capture

@Suite struct NearestNameTests {
    private let known = [
        "source.url", "source.slot", "source.publication", "source.wal_sender_timeout", "transport.nats.url", "transport.nats.stream_name",
        "transport.nats.jetstream.max_bytes", "transport.nats.jetstream.replicas", "delivery.in_flight_messages",
        "delivery.in_flight_bytes", "log.level", "log.format",
    ]

    @Test(arguments: [
        ("source.slto", "source.slot"), ("source.walsender_timeout", "source.wal_sender_timeout"),
        ("nats.stream_name", "transport.nats.stream_name"),
        ("nats.jetstream.replicas", "transport.nats.jetstream.replicas"), ("events.slot", "source.slot"),
        ("log.levl", "log.level"),
        ("delivery.in_flight_message", "delivery.in_flight_messages"),
        ("transport.jetstream.max_bytes", "transport.nats.jetstream.max_bytes"),
    ])
    func finds(name: String, nearest: String) {
        #expect(NearestName.nearest(to: name, among: known) == nearest)
    }

    @Test(arguments: ["banana", "", ".", String(repeating: "x", count: 1_000_000)])
    func staysSilentWhereNothingIsNear(name: String) {
        #expect(NearestName.nearest(to: name, among: known) == nil)
    }

    @Test func countsEdits() {
        #expect(NearestName.distance("", "") == 0)
        #expect(NearestName.distance("", "abc") == 3)
        #expect(NearestName.distance("kitten", "sitting") == 3)
        #expect(NearestName.distance("sitting", "kitten") == 3)
    }
}
