import History
import JetStreamPublishing

extension Setup {
    /// In what a bucket that is there could lose the checkpoint record; it is left as it is.
    ///
    /// None where there is no bucket yet, or where the account may not ask.
    /// - Throws: `.jetStream`.
    static func bucketFindings(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [Finding] {
        do throws(JetStreamError) {
            let bucket = JetStreamConnection.bucketStream(CheckpointRecord.bucket)
            guard let found = try nats.streamInfo(bucket) else { return [] }
            // The stream that is there may have other replicas than the configuration says.
            let stream = try nats.streamInfo(configuration.stream.name)
            return bucketFindings(found.config, streamReplicas: stream?.config.replicas ?? configuration.stream.replicas)
        } catch {
            // Who may not ask is not told.
            if error.isPermission { return [] }
            throw .jetStream(error)
        }
    }

    /// `bucketFindings` for a bucket's stream as the server tells it. How many revisions it keeps does not matter: only the last is read.
    static func bucketFindings(_ found: StreamInfo.Config, streamReplicas: Int) -> [Finding] {
        let bucket = CheckpointRecord.bucket
        var findings: [Finding] = []
        if found.storage != "file" {
            findings.append(
                .recordLessSafe(
                    bucket, "storage is \(found.storage), not file", why: "the checkpoint record is lost when nats-server restarts",
                    edit: nil))
        }
        if found.maxAgeNanoseconds > 0 {
            findings.append(
                .recordLessSafe(
                    bucket, "max_age is \(Double(found.maxAgeNanoseconds) / 1e9) s, not 0",
                    why: "the checkpoint record is lost after that time without changes", edit: "--max-age=0s"))
        }
        if found.replicas < streamReplicas {
            findings.append(
                .recordLessSafe(
                    bucket, "num_replicas is \(found.replicas), but the stream's is \(streamReplicas)",
                    why: "the checkpoint record can be lost while the stream is not", edit: "--replicas=\(streamReplicas)"))
        }
        return findings
    }
}
