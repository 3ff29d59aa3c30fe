import JetStreamPublishing

/// What keeps a stray message from making a hole at all. It makes strays cheap, and never replaces the comparison.
enum Prevention: Equatable {
    /// Fast batches (nats-server 2.14, streams with `allow_batched`): the first refusal ends the batch, and nothing behind it is stored.
    ///
    /// A batch has to begin and to end, which a few messages do not repay: where the server allows it those name the ids before them instead.
    case fastBatches(orMessageIDs: Bool)
    /// Each message but the first in flight names the id of the one before it: only on a server without cluster, where no replica can fall over it.
    case messageIDs
    /// Nothing in the protocol: who may publish is for permissions to say.
    case none

    /// What server and stream can do now.
    static func of(_ connection: some StreamReader, _ info: StreamInfo) -> Prevention {
        let isAlone = info.cluster?.name == nil && connection.isStandalone == true
        if info.config.allowBatched, connection.takesFastBatches { return .fastBatches(orMessageIDs: isAlone) }
        return isAlone ? .messageIDs : .none
    }

    /// Whether messages that are chained name the id of the one before.
    var namesPrevious: Bool {
        switch self {
        case .messageIDs, .fastBatches(orMessageIDs: true): true
        case .fastBatches(orMessageIDs: false), .none: false
        }
    }

    /// Without the ids, which JetStream turned out not to know.
    var withoutMessageIDs: Prevention {
        switch self {
        case .fastBatches: .fastBatches(orMessageIDs: false)
        case .messageIDs, .none: .none
        }
    }
}
