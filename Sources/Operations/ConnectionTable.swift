import NIOCore
import Synchronization

/// The open connections, each with a time by which it has to bring its next request.
///
/// Whoever connects is let in: where there are too many, the one that has brought no request for longest is closed, so that neither idle
/// clients nor slow ones keep a probe out.
final class ConnectionTable: Sendable {
    /// Connections at once.
    static let limit = 64

    private struct Entry {
        var channel: any Channel
        /// Ascending: the lowest has waited longest.
        var turn: UInt64
        var expiry: Scheduled<Void>
    }

    private struct State {
        var turn: UInt64 = 0
        var entries: [ObjectIdentifier: Entry] = [:]
    }

    private let exchangeTime: TimeAmount
    private let state = Mutex(State())

    /// - Parameter exchangeTime: From connecting, or the last request, to the next one: for sending it, for being answered, and for silence.
    init(exchangeTime: Duration) { self.exchangeTime = TimeAmount(exchangeTime) }

    /// A connection was made.
    func opened(_ channel: any Channel) {
        let expiry = expiry(of: channel)
        let surplus = state.withLock { state -> Entry? in
            state.turn += 1
            state.entries[ObjectIdentifier(channel)] = Entry(channel: channel, turn: state.turn, expiry: expiry)
            guard state.entries.count > Self.limit, let oldest = state.entries.min(by: { $0.value.turn < $1.value.turn })
            else { return nil }
            return state.entries.removeValue(forKey: oldest.key)
        }
        surplus?.expiry.cancel()
        surplus?.channel.close(promise: nil)
    }

    /// A connection has brought the head of a request: its time begins anew.
    func progressed(_ channel: any Channel) {
        let expiry = expiry(of: channel)
        let isKnown = state.withLock { state -> Bool in
            guard var entry = state.entries[ObjectIdentifier(channel)] else { return false }
            state.turn += 1
            entry.expiry.cancel()
            entry.turn = state.turn
            entry.expiry = expiry
            state.entries[ObjectIdentifier(channel)] = entry
            return true
        }
        // Closed meanwhile.
        if !isKnown { expiry.cancel() }
    }

    /// A connection is gone.
    func closed(_ channel: any Channel) {
        state.withLock { $0.entries.removeValue(forKey: ObjectIdentifier(channel)) }?.expiry.cancel()
    }

    private func expiry(of channel: any Channel) -> Scheduled<Void> {
        channel.eventLoop.scheduleTask(in: exchangeTime) { channel.close(promise: nil) }
    }
}

/// Enters a connection in the table, and takes it out.
final class ConnectionTableHandler: ChannelInboundHandler, RemovableChannelHandler {
    /// Whatever it is, it is passed on.
    typealias InboundIn = NIOAny

    private let table: ConnectionTable

    /// For one connection.
    init(_ table: ConnectionTable) { self.table = table }

    /// The connection has been accepted.
    func handlerAdded(context: ChannelHandlerContext) { table.opened(context.channel) }

    /// The connection is closed.
    func channelInactive(context: ChannelHandlerContext) {
        table.closed(context.channel)
        context.fireChannelInactive()
    }
}
