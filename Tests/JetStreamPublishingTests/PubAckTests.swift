import Testing

@testable import JetStreamPublishing

@Suite("PubAck")
struct PubAckTests {
    private static let good = #"{"stream":"events", "seq":18446744073709551615,"domain":"hub","duplicate": true}"#
    private static let refused =
        #"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 59"},"stream":"events","seq":0}"#

    private static func read<Value>(_ text: String, _ body: (PubAck?, UnsafeBufferPointer<UInt8>) -> Value) -> Value {
        read(Array(text.utf8), body)
    }

    private static func read<Value>(_ bytes: [UInt8], _ body: (PubAck?, UnsafeBufferPointer<UInt8>) -> Value) -> Value {
        // A copy of just these bytes, so that a read beyond them is found by the sanitizer.
        let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: bytes.count)
        defer { copy.deallocate() }
        _ = copy.initialize(from: bytes)
        return body(PubAck(UnsafeBufferPointer(copy)), UnsafeBufferPointer(copy))
    }

    @Test func readsStreamSequenceAndDuplicate() {
        Self.read(Self.good) { ack, body in
            #expect(ack?.sequence == .max)
            #expect(ack?.isDuplicate == true)
            #expect(ack?.batchCount == 1)
            #expect(ack.map { StreamNameMatch("events").matches(body, $0.stream) } == true)
            #expect(ack.map { StreamNameMatch("event").matches(body, $0.stream) } == false)
            #expect(ack.map { StreamNameMatch("events2").matches(body, $0.stream) } == false)
        }
    }

    @Test func readsARefusalWithTheSequenceItNames() {
        Self.read(Self.refused) { ack, _ in
            #expect(ack?.refusal?.errCode == 10_071)
            #expect(ack?.refusal?.code == 400)
            #expect(ack?.refusal?.lastSequence == 59)
        }
        Self.read(#"{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}"#) { ack, _ in
            #expect(ack?.refusal?.errCode == 10_077)
            #expect(ack?.refusal?.lastSequence == nil)
        }
    }

    @Test func readsTheCountOfABatch() {
        Self.read(#"{"stream":"events","seq":12,"batch":"b","count":5}"#) { ack, _ in #expect(ack?.batchCount == 5) }
    }

    @Test func matchesNamesThatGoEscapes() {
        for text in [#"{"stream":"a\u0026b","seq":1}"#, #"{"stream":"a&b","seq":1}"#] {
            Self.read(text) { ack, body in
                #expect(ack.map { StreamNameMatch("a&b").matches(body, $0.stream) } == true)
            }
        }
    }

    @Test(arguments: [
        "", " ", "{", "}", "[]", "null", "{}", #"{"stream":"events"}"#, #"{"seq":1}"#, #"{"stream":"e","seq":-1}"#,
        #"{"stream":"e","seq":1.5}"#, #"{"stream":"e","seq":1e3}"#, #"{"stream":"e","seq":01}"#,
        #"{"stream":"e","seq":18446744073709551616}"#, #"{"stream":"e","seq":"1"}"#, #"{"stream":1,"seq":1}"#,
        #"{"stream":"e","seq":1,"duplicate":1}"#, #"{"stream":"e","seq":1}x"#, #"{"stream":"e","seq":1,}"#,
        #"{"stream":"e" "seq":1}"#, #"{"error":{"code":},"stream":"e","seq":1}"#, #"{"error":{"code":1}"#,
        #"{"stream":"e\"#, "{\"stream\":\"e\u{1}\",\"seq\":1}", #"{"x":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"#,
        #"{"stream":"e","seq":1,"x":tru}"#, #"{"stream":"e","seq":1,"x":}"#,
    ])
    func refusesWhatIsNoAck(_ text: String) {
        Self.read(text) { ack, _ in #expect(ack == nil) }
    }

    @Test func skipsMembersThatItDoesNotKnow() {
        let text = #"{"a":[1,-2.5e3,{"b":"\"}"},null,true],"stream":"events","c":{},"seq":7,"d":"é","error":null}"#
        Self.read(text) { ack, _ in
            #expect(ack?.sequence == 7)
            #expect(ack?.refusal == nil)
        }
    }

    @Test func noPrefixIsAnAck() {
        for text in [Self.good, Self.refused] {
            let bytes = Array(text.utf8)
            for count in 0..<bytes.count { Self.read(Array(bytes[..<count])) { ack, _ in #expect(ack == nil) } }
        }
    }

    @Test func anySingleByteChangeIsReadOrRefused() {
        for text in [Self.good, Self.refused] {
            let bytes = Array(text.utf8)
            for index in bytes.indices {
                for value in UInt8.min...UInt8.max {
                    var changed = bytes
                    changed[index] = value
                    Self.read(changed) { ack, body in
                        if let ack { #expect(ack.stream.upperBound <= body.count) }
                    }
                }
            }
        }
    }
}
