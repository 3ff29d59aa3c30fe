import History
import JetStreamPublishing
import Threads
import WAL

extension CheckedAccount {
    /// Asks nats-server about itself and about what we may do.
    /// - Parameter info: Of our stream; nil: there is none.
    static func read(
        _ configuration: StreamerConfiguration, _ info: StreamInfo?, over nats: JetStreamConnection
    ) throws(StreamerError) -> CheckedAccount {
        let stream = configuration.stream
        var account = CheckedAccount(stream: stream, neededRights: configuration.natsRights, replicas: info?.config.replicas ?? stream.replicas)
        account.version = nats.serverVersion
        account.exposure = nats.exposure
        account.isAnonymous = configuration.nats.isAnonymous
        account.streamLimit = info?.config.maxBytes
        do throws(JetStreamError) {
            (account.storageLimit, account.storageTaken) = try nats.accountStorage()
        } catch {
            if !error.isPermission { throw .jetStream(error) }
        }
        account.missingRights = try SetupQuestions.missingRights(configuration, makesStream: info == nil, nats)
        account.missingLesserRights = try SetupQuestions.missingLesserRights(configuration, nats)
        do throws(JetStreamError) {
            if info == nil {
                account.takenBy = try Setup.otherStreams(capturing: stream.subject, than: stream, nats)
                if !account.takenBy.isEmpty { account.freePrefix = try freePrefix(stream, nats) }
            }
            (account.othersMayPublish, account.othersMayDelete) = try othersMay(configuration, nats)
        } catch {
            throw .jetStream(error)
        }
        return account
    }

    /// A prefix like the configured one that no stream captures; nil: none of a few.
    private static func freePrefix(_ stream: StreamConfiguration, _ nats: JetStreamConnection) throws(JetStreamError) -> String? {
        let plain = stream.name.filter { $0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" }
        for prefix in ["\(plain).events", "slotstream.\(plain)", "\(plain)-\(stream.subjectPrefix)"]
        where try Setup.otherStreams(capturing: "\(prefix).>", than: stream, nats).isEmpty {
            return prefix
        }
        return nil
    }

    /// What somebody may do who gives no name: asked as such a client, with messages that JetStream refuses.
    private static func othersMay(
        _ configuration: StreamerConfiguration, _ nats: JetStreamConnection
    ) throws(JetStreamError) -> (publish: Bool, delete: Bool) {
        func ask(_ nats: JetStreamConnection) throws(JetStreamError) -> (publish: Bool, delete: Bool) {
            (
                try SetupQuestions.mayPublishEvents(configuration.stream, nats),
                try SetupQuestions.mayDelete(configuration.stream.name, nats)
            )
        }
        if configuration.nats.isAnonymous { return try ask(nats) }
        var options = configuration.nats.anonymous
        options.urls = [nats.connectedURL]
        // Whoever is refused may nothing; and what else is in the way of a second connection says nothing of rights.
        guard let link = try? NATSLink.connected(options, stream: configuration.stream.name) else { return (false, false) }
        defer { link.connection.close() }
        return (try? ask(link.connection)) ?? (false, false)
    }
}

extension CheckedStream {
    /// Asks about a stream that is there, its bucket and its consumers.
    static func read(
        _ configuration: StreamerConfiguration, _ info: StreamInfo, over nats: JetStreamConnection
    ) throws(StreamerError) -> CheckedStream {
        var stream = CheckedStream(name: configuration.stream.name, info: info)
        stream.differences = StreamDifference.compare(info.config, Setup.wantedStream(configuration, nats))
        stream.isClustered = nats.isStandalone == false
        stream.found = try Setup.bucketFindings(configuration, nats)
        var consumers: [ConsumerInfo] = []
        do throws(JetStreamError) {
            consumers = try nats.consumers(configuration.stream.name).consumers
            stream.consumers = try ConsumerStanding.read(consumers, of: info, over: nats, timeout: Check.answerTime)
        } catch {
            if !error.isPermission { throw .jetStream(error) }
        }
        if let version = nats.serverVersion.flatMap({ ServerVersion($0) }), version < ServerVersion(2, 10, 14) {
            do throws(JetStreamError) {
                stream.stuckGatherers = try nats.streamsSourcing(from: configuration.stream.name)
            } catch {
                if !error.isPermission { throw .jetStream(error) }
            }
        }
        if let wanted = configuration.consumer, let found = consumers.first(where: { $0.name == wanted.name }) {
            stream.found += Setup.differences(found, wanted, of: configuration.stream)
        }
        if info.state.messages > 0 {
            let first = PostgresTimestamp(rfc3339: info.state.firstTime)
            stream.oldestAgeSeconds = first.map { Double(PostgresTimestamp.now.rawValue - $0.rawValue) / 1e6 }
        }
        return stream
    }
}
