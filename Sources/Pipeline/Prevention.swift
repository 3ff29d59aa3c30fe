import JetStreamPublishing

/// What keeps a stray message from making a hole at all. It makes strays cheap, and never replaces the comparison.
enum Prevention: Equatable {
    /// Each message but the first in flight names the id of the one before it: only on a server without cluster, where no replica can fall over it.
    case messageIDs
    /// Nothing in the protocol: who may publish is for permissions to say.
    case none

    /// What server and stream can do now.
    static func of(_ connection: JetStreamConnection, _ info: StreamInfo) -> Prevention {
        info.cluster?.name == nil && connection.isStandalone == true ? .messageIDs : .none
    }
}
