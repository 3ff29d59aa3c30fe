import History
import JetStreamPublishing
import Threads

extension ConsumerStanding {
    /// Consumers with filters that are asked about by themselves, at most, in one look; and filters of each.
    private static let exactLimit = 8
    private static let filterLimit = 4

    /// How the durable ones of a stream's consumers stand.
    static func read(
        _ consumers: [ConsumerInfo], of info: StreamInfo, over connection: JetStreamConnection, timeout: Duration
    ) throws(JetStreamError) -> [ConsumerStanding] {
        let retention = StreamRetention(info, now: .now)
        var exactCount = 0
        var standings: [ConsumerStanding] = []
        for consumer in consumers where consumer.durableName != nil {
            var standing = ConsumerStanding(consumer, oldestUnread: consumer.ackFloorSequence + 1, retention)
            if standing.isNearEviction, !consumer.takesAll(of: info.config.subjects) {
                // What is next behind its floor may be none of its own.
                let isAsked = exactCount < exactLimit && consumer.filterSubjects.count <= filterLimit
                let oldest = isAsked ? try oldestUnread(of: consumer, in: info, over: connection, timeout: timeout) : nil
                exactCount += 1
                standing = ConsumerStanding(consumer, oldestUnread: oldest, retention)
            }
            standings.append(standing)
        }
        return standings
    }

    /// The sequence of the oldest message of its that a consumer with filters has not acknowledged.
    private static func oldestUnread(
        of consumer: ConsumerInfo, in info: StreamInfo, over connection: JetStreamConnection, timeout: Duration
    ) throws(JetStreamError) -> UInt64? {
        var oldest: UInt64?
        let start = max(consumer.ackFloorSequence + 1, info.state.firstSequence)
        for filter in consumer.filterSubjects {
            let found = try connection.firstSequence(info.config.name, from: start, matching: filter, timeout: timeout)
            guard let found else { continue }
            oldest = min(oldest ?? found, found)
        }
        return oldest
    }
}
