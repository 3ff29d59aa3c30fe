import FoundationEssentials
import History
import JetStreamPublishing
import Testing

@testable import Pipeline

@Suite struct SetupBucketTests {
    private static func findings(_ settings: String, streamReplicas: Int = 1) throws -> [Finding] {
        let json = #"{"name":"KV_slotstream","subjects":["$KV.slotstream.>"]\#(settings)}"#
        let config = try JSONDecoder().decode(StreamInfo.Config.self, from: Data(json.utf8))
        return Setup.bucketFindings(config, streamReplicas: streamReplicas)
    }

    @Test(arguments: [
        #","storage":"file","max_age":0,"num_replicas":1,"max_msgs_per_subject":1"#,
        // History, and more replicas than the stream has, lose nothing.
        #","storage":"file","max_msgs_per_subject":64,"num_replicas":3"#,
    ])
    func aBucketThatKeepsTheRecordHasNone(_ settings: String) throws {
        #expect(try Self.findings(settings) == [])
    }

    @Test(arguments: [
        (#","storage":"memory""#, 1, "storage is memory"),
        (#","storage":"file","max_age":3600000000000"#, 1, "max_age is 3600.0 s"),
        (#","storage":"file","num_replicas":1"#, 3, "num_replicas is 1, but the stream's is 3"),
    ])
    func whatCouldLoseTheRecordIsSaidInASentence(_ settings: String, _ streamReplicas: Int, _ risk: String) throws {
        let findings = try Self.findings(settings, streamReplicas: streamReplicas)
        let note = try #require(findings.first).sentence
        #expect(findings.map(\.id) == [.recordLessSafe])
        #expect(note.hasPrefix("bucket slotstream stays unchanged: \(risk)"))
        #expect(note.contains("record") && note.contains("lost") && note.hasSuffix("(bucket_missing)"))
    }

    @Test func eachRiskIsASentenceOfItsOwn() throws {
        #expect(try Self.findings(#","storage":"memory","max_age":1,"num_replicas":1"#, streamReplicas: 3).count == 3)
    }
}
