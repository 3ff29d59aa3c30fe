import Capture
import CoreMetrics
import History
import JetStreamPublishing
import Logging
import Pipeline
import PostgresReplication
import Threads
import WAL

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What is the same in all schedules, and is made once.
enum Settings {
    static let identity = SourceIdentity(
        systemID: ModelServer.systemID, databaseOID: ModelServer.databaseOID, databaseName: "shop")

    static let logger = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }

    static func observations() -> Observations {
        Observations(slot: ModelServer.slotName, stream: Names.stream, readyMaxLagBytes: 0, metrics: NOOPMetricsHandler.instance)
    }

    static func configuration(_ schedule: Schedule) -> StreamerConfiguration {
        StreamerConfiguration(
            source: StreamerConfiguration.Source(
                connection: ConnectionParameters(conninfo: ""), slot: ModelServer.slotName, publication: "p", tables: [],
                failover: false, walSenderTimeoutMilliseconds: 3_000),
            nats: JetStreamConnectionOptions(urls: ["nats://model:4222"]),
            stream: StreamConfiguration(
                name: Names.stream, subjectPrefix: Names.prefix, duplicateWindow: .seconds(120),
                replicas: schedule.version.isReplicated ? 3 : 1),
            consumer: nil,
            capture: CaptureConfiguration(
                subjectPrefix: Names.prefix, exclusions: [ModelTables.exclusion]),
            captureFunctions: CaptureFunctions(hmacSHA256: nil) { _, _ in false },
            delivery: StreamerConfiguration.Delivery(
                inFlightMessages: schedule.inFlightLimit, inFlightBytes: 8_192, ackTimeout: .seconds(2),
                checkpointInterval: .nanoseconds(schedule.checkpointInterval)),
            readyMaxLagBytes: 0)
    }

    /// The record as setup leaves it.
    static func firstRecord(_ schedule: Schedule, at lsn: LSN) -> [UInt8] {
        let options = configuration(schedule).streamOptions.text
        return Array(
            """
            {"schema":"slotstream.checkpoint/1","system_id":"\(ModelServer.systemID)","timeline":1,"slot":"\(ModelServer.slotName)","owner":"",\
            "confirmed_lsn":"\(lsn)","last_sequence":0,"stream":"\(Names.stream)","stream_created":"\(StreamInfos.created)",\
            "options":"\(options)","genesis":{"kind":"created","lsn":"\(lsn)","at":"\(StreamInfos.created)"}}
            """.utf8)
    }
}

/// What JetStream says of the stream: read once from its JSON, then filled in.
struct StreamInfos {
    static let created = "2026-01-01T00:00:00Z"

    private static let alone = read(replicas: 1, cluster: "")
    private static let replicated = read(
        replicas: 3,
        cluster: #","cluster":{"name":"c","leader":"n1","replicas":[{"name":"n2","current":true},{"name":"n3","current":true}]}"#)

    private static func read(replicas: Int, cluster: String) -> StreamInfo? {
        let text = """
            {"config":{"name":"events","subjects":["e.>"],"retention":"limits","storage":"file","discard":"old","duplicate_window":120000000000,\
            "max_age":0,"max_bytes":-1,"max_msgs":-1,"max_msg_size":-1,"max_msgs_per_subject":-1,"num_replicas":\(replicas)},\
            "state":{"messages":0,"bytes":0,"first_seq":0,"last_seq":0,"first_ts":"\(created)","last_ts":"\(created)","consumer_count":0},\
            "created":"\(created)"\(cluster)}
            """
        return try? JSONDecoder().decode(StreamInfo.self, from: Data(text.utf8))
    }

    static func info(_ state: ModelJetStream.State, isReplicated: Bool) -> StreamInfo? {
        guard var info = isReplicated ? replicated : alone else { return nil }
        info.state.lastSequence = state.lastSequence
        info.state.firstSequence = state.firstSequence
        info.state.messages = state.lastSequence + 1 - state.firstSequence
        return info
    }
}
