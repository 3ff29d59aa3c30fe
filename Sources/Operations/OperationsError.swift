/// Why the HTTP side could not do its work.
///
/// No case says anything about delivery: the streamer goes on or not for reasons of its own.
package enum OperationsError: Error, Equatable, CustomStringConvertible {
    /// The address could not be bound: in use, not of this machine, not permitted, or not resolvable.
    case listenFailed(address: String, reason: String)
    /// The server ended after it had listened, without being asked to.
    case serverFailed(address: String, reason: String)
    /// Nothing accepted the probe's connection, or it was cut off before a whole answer.
    case probeUnreachable(address: String, reason: String)
    /// The probe's time was up before a whole answer had come.
    case probeTimedOut(address: String, timeout: Duration)
    /// Something answered that is not a streamer.
    case probeAnswerInvalid(address: String, reason: String)

    /// What happened, where, and what to do.
    package var description: String {
        switch self {
        case .listenFailed(let address, let reason):
            "cannot listen on \(address): \(reason); set http.listen to a free address, or to \"\" for no HTTP"
        case .serverFailed(let address, let reason):
            "the HTTP server on \(address) ended: \(reason); restart the streamer"
        case .probeUnreachable(let address, let reason):
            "no streamer answers on \(address): \(reason); start the streamer, or correct http.listen"
        case .probeTimedOut(let address, let timeout):
            "the streamer on \(address) did not answer within \(timeout); check the log of the streamer"
        case .probeAnswerInvalid(let address, let reason):
            "the program that answers on \(address) is not a streamer: \(reason); set http.listen to the streamer's address"
        }
    }
}
