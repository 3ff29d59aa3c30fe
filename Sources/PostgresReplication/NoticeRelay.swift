import CLibPQ

/// Takes what libpq's notice receiver is given, for one connection.
///
/// libpq keeps a pointer to it, so it is a class. The connection's owner holds one retain, taken in `install`, and drops it in
/// `uninstall`, which comes after `PQfinish`: no callback can run after that call.
final class NoticeRelay {
    private let handler: NoticeHandler?
    /// Set when the server has said, to a session that asked nothing, that it ends the session.
    private(set) var sessionEnd: PostgresNotice?

    private init(handler: NoticeHandler?) {
        self.handler = handler
    }

    /// Has `connection` report its notices to a new relay, and retains that relay.
    static func install(on connection: OpaquePointer, handler: NoticeHandler?) -> Unmanaged<NoticeRelay> {
        let relay = Unmanaged.passRetained(NoticeRelay(handler: handler))
        PQsetNoticeReceiver(
            connection,
            { context, result in
                guard let context, let result else { return }
                // libpq owns `result` and clears it when this returns.
                Unmanaged<NoticeRelay>.fromOpaque(context).takeUnretainedValue().received(result)
            },
            relay.toOpaque())
        return relay
    }

    /// Drops the retain that `install` took. Only after `PQfinish` of the connection.
    static func uninstall(_ relay: Unmanaged<NoticeRelay>) {
        relay.release()
    }

    private func received(_ result: OpaquePointer) {
        let notice = PostgresNotice(
            severity: LibPQResult.field(LIBPQ_FIELD_SEVERITY, of: result) ?? "NOTICE",
            sqlState: LibPQResult.field(LIBPQ_FIELD_SQLSTATE, of: result) ?? "00000",
            message: LibPQResult.field(LIBPQ_FIELD_MESSAGE, of: result) ?? LibPQResult.message(of: result),
            detail: LibPQResult.field(LIBPQ_FIELD_DETAIL, of: result),
            hint: LibPQResult.field(LIBPQ_FIELD_HINT, of: result))
        // libpq hands an ErrorResponse that answers no query to the notice receiver.
        if notice.severity == "FATAL" || notice.severity == "PANIC" { sessionEnd = notice }
        handler?(notice)
    }
}
