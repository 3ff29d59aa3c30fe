import History
import JetStreamPublishing

extension Setup {
    /// In what a bucket that is there could lose the checkpoint record, a sentence each; it is left as it is.
    ///
    /// None where there is no bucket yet, or where the account may not ask.
    /// - Throws: `.jetStream`.
    static func bucketNotes(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(StreamerError) -> [String] {
        do throws(JetStreamError) {
            let bucket = JetStreamConnection.bucketStream(CheckpointRecord.bucket)
            guard let found = try nats.streamInfo(bucket) else { return [] }
            // The stream that is there may have other replicas than the configuration says.
            let stream = try nats.streamInfo(configuration.stream.name)
            return bucketNotes(found.config, streamReplicas: stream?.config.replicas ?? configuration.stream.replicas)
        } catch {
            // Who may not ask is not told.
            if error.isPermission { return [] }
            throw .jetStream(error)
        }
    }

    /// `bucketNotes` for a bucket's stream as the server tells it. How many revisions it keeps does not matter: only the last is read.
    static func bucketNotes(_ found: StreamInfo.Config, streamReplicas: Int) -> [String] {
        var risks: [String] = []
        if found.storage != "file" {
            risks.append(
                "storage is \(found.storage), not file: the checkpoint record is lost when nats-server restarts"
            )
        }
        if found.maxAgeNanoseconds > 0 {
            risks.append(
                "max_age is \(Double(found.maxAgeNanoseconds) / 1e9) s, not 0: the checkpoint record is lost after that time without changes"
            )
        }
        if found.replicas < streamReplicas {
            risks.append(
                "num_replicas is \(found.replicas), but the stream's is \(streamReplicas): the checkpoint record can be lost while the stream is not"
            )
        }
        return risks.map {
            "bucket \(CheckpointRecord.bucket) stays unchanged: \($0); without the record the streamer stops (\(StopReason.bucketMissing.rawValue))"
        }
    }
}
