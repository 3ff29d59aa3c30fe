/// What happened to the connection. Told on libnats' own thread, one after another: take it and return at once; never
/// call the connection from there.
public enum ConnectionEvent: Sendable, Hashable {
    /// The connection is gone and libnats is making it anew. What was published and not acknowledged may or may not be
    /// stored; resynchronise.
    case disconnected(String)
    /// Connected again, to this URL.
    case reconnected(String)
    /// libnats gave up for good: refused twice by the same server with the same authorization error, or told off with an
    /// error that it does not know. Make a new connection.
    case closed(String)
    /// The account may not publish or subscribe where we tried to: the server's text, which names the subject. Publishes
    /// that are refused so get no ack.
    case permissionViolation(String)
    /// Any other error that came outside a call.
    case asyncError(String)
}
