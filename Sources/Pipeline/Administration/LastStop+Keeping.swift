package import History
import JetStreamPublishing
import Threads
import WAL

extension LastStop {
    /// So long whoever stops waits until it is kept.
    private static let patience = Duration.seconds(3)
    /// For the put itself.
    private static let putTime = Duration.seconds(2)

    /// Puts it beside the record. Best effort: where NATS is away, or does not let us, it is lost with the process.
    package func keep(beside configuration: StreamerConfiguration) {
        guard let wake = try? WakeSignal() else { return }
        let deadline = Instant.now + Self.patience
        do throws(SystemError) {
            try OwnedThread(name: "last stop") {
                defer { wake.signal() }
                guard
                    let link = try? NATSLink.connected(
                        configuration.nats, stream: configuration.stream.name, isWanted: { Instant.now < deadline })
                else { return }
                // Whatever was there: nobody else's word counts for more.
                _ = try? link.connection.bucketPut(
                    CheckpointRecord.bucket, key: Self.key(of: configuration.stream.name), value: json(), expectedRevision: nil,
                    timeout: Self.putTime)
                link.connection.close()
            }.detach()
        } catch {
            return
        }
        wake.wait(timeout: Self.patience)
    }

    /// The last stop of a streamer of this slot, unless one has streamed, or an operator has mended, since: each puts the record anew.
    /// - Parameter recordRevision: 0: there is no record.
    static func read(
        of configuration: StreamerConfiguration, recordRevision: UInt64, over nats: JetStreamConnection, timeout: Duration
    ) -> LastStop? {
        guard
            case .value(let json, let revision)? = try? nats.bucketGet(
                CheckpointRecord.bucket, key: key(of: configuration.stream.name), timeout: timeout),
            revision > recordRevision, let stop = LastStop(json: json), stop.slot == configuration.source.slot
        else { return nil }
        return stop
    }
}
