import Capture
import History
import JetStreamPublishing
package import Pipeline
package import PostgresReplication

extension Configuration {
    /// The values as the streamer and the commands beside it take them.
    package var streamer: StreamerConfiguration {
        StreamerConfiguration(
            source: StreamerConfiguration.Source(
                connection: ConnectionParameters(
                    conninfo: source.url.value, reread: source.urlFile.map { Self.rereading($0) }), slot: source.slot,
                publication: source.publication, tables: source.tables, failover: source.failover,
                walSenderTimeoutMilliseconds: Int(source.walSenderTimeout / .milliseconds(1)),
                silenceLimit: source.silenceLimit),
            nats: connectionOptions, stream: streamConfiguration, consumer: consumer, capture: captureConfiguration,
            ruledTables: events.ruledTables, captureFunctions: CaptureFunctions(maskKey: events.maskKey),
            casts: StreamerConfiguration.Casts(
                types: events.casts,
                connection: Self.connection(Secret("", shown: ""), file: source.castURLFile)),
            delivery: StreamerConfiguration.Delivery(
                isAtomic: delivery.atomic == .auto, inFlightMessages: delivery.inFlightMessages, inFlightBytes: delivery.inFlightBytes,
                ackTimeout: delivery.ackTimeout, checkpointInterval: delivery.checkpointInterval,
                shutdownTimeout: delivery.shutdownTimeout),
            window: ReplayWindow.Limits(age: replay.window, byteCount: UInt64(replay.windowBytes)),
            readyMaxLagBytes: UInt64(max(0, http.readyMaxLagBytes)),
            backfill: StreamerConfiguration.Backfill(
                onFirstStart: backfill.onFirstStart, connection: Self.connection(backfill.url, file: backfill.urlFile),
                rate: backfill.rate > 0 ? backfill.rate : nil, maxLagBytes: backfill.maxLag > 0 ? UInt64(backfill.maxLag) : nil))
    }

    /// The database of the observer worker's.
    package var observerDatabase: ConnectionParameters {
        Self.connection(observerWorker.databaseURL, file: observerWorker.databaseURLFile) ?? streamer.source.connection
    }

    /// A connection of its own; nil: neither of its keys is set.
    private static func connection(_ url: Secret, file: String?) -> ConnectionParameters? {
        if let file {
            let reread = rereading(file)
            return ConnectionParameters(conninfo: reread() ?? "", reread: reread)
        }
        return url.value.isEmpty ? nil : ConnectionParameters(conninfo: url.value)
    }

    /// Reads a file that holds a connection string, which may have been replaced; nil if there is nothing in it now.
    private static func rereading(_ file: String) -> @Sendable () -> String? {
        {
            guard case .bytes(let bytes) = FileContents.read(file) else { return nil }
            let text = ConfigurationLoader.connectionString(bytes)
            return text.isEmpty ? nil : text
        }
    }

    private var connectionOptions: JetStreamConnectionOptions {
        JetStreamConnectionOptions(
            urls: nats.urls.map(\.value), credentials: credentials,
            tls: JetStreamConnectionOptions.TLS(
                caFile: nats.tls.caFile, certificateFile: nats.tls.certificateFile, keyFile: nats.tls.keyFile))
    }

    private var credentials: JetStreamConnectionOptions.Credentials {
        if let file = nats.credentialsFile { return .credentialsFile(file) }
        if let file = nats.nkeySeedFile { return .nkeySeedFile(file) }
        if let user = nats.user, let file = nats.passwordFile { return .user(user, passwordFile: file) }
        if let file = nats.tokenFile { return .tokenFile(file) }
        return .none
    }

    private var streamConfiguration: StreamConfiguration {
        StreamConfiguration(
            name: nats.streamName, subjectPrefix: nats.subjectPrefix, duplicateWindow: jetStream.duplicateWindow,
            maxAge: jetStream.maxAge, maxBytes: Int64(jetStream.maxBytes), maxMessages: Int64(jetStream.maxMessages),
            replicas: jetStream.replicas)
    }

    private var consumer: StreamerConfiguration.Consumer? {
        nats.consumerName.map {
            StreamerConfiguration.Consumer(name: $0, ackWait: jetStream.ackWait, maxDeliver: jetStream.maxDeliver)
        }
    }

    private var captureConfiguration: CaptureConfiguration {
        CaptureConfiguration(
            format: events.format, subjectPrefix: nats.subjectPrefix, subjectTemplate: events.subject,
            tablePrefixes: events.tablePrefixes, entities: events.entityNames,
            identities: events.identityNames(mayBeAbsent: false),
            optionalIdentities: events.identityNames(mayBeAbsent: true),
            excludedColumns: events.excludedNames, masks: events.maskedNames.mapValues { $0.mapValues(Self.mask) },
            exclusions: events.exclude, messagePrefixes: events.messagePrefixes,
            poisonPolicy: poisonPolicy)
    }

    private var poisonPolicy: CaptureConfiguration.PoisonPolicy {
        switch events.onPoison {
        case .stop: .stop
        case .quarantine: .quarantine
        case .reference: .reference
        }
    }

    private static func mask(_ mask: ColumnMask) -> CaptureConfiguration.Mask {
        switch mask {
        case .hmac: .hmac
        case .text(let text): .text(text)
        }
    }
}
