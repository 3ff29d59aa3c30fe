import Synchronization
import Testing

/// A mail server without TLS that says what a test wants at some steps, and else what is usual.
///
/// A step is the client's verb, `greeting` (the first word), `credentials` (after AUTH) or `end` (after the text).
final class MailDialog: Sendable {
    /// What is said otherwise.
    enum Answer: Sendable, CustomTestStringConvertible {
        case line(String)
        /// Nothing, while the connection stays.
        case nothing
        /// The connection ends.
        case cut

        var testDescription: String {
            switch self {
            case .line(let text): text
            case .nothing: "nothing"
            case .cut: "cut"
            }
        }
    }

    private let said: [String: Answer]
    private let heard = Mutex<[String]>([])

    init(_ said: [String: Answer] = [:]) { self.said = said }

    /// The verbs that clients said, in their order.
    var verbs: [String] { heard.withLock { $0 } }

    func hold(_ peer: Peer) {
        var step = "greeting"
        while true {
            switch said[step] ?? .line(Self.usual(step)) {
            case .cut: return
            case .nothing: return peer.waitForEnd()
            case .line(let text): peer.send(text + "\r\n")
            }
            if step == "DATA", said["DATA"] == nil {
                while let line = peer.readLine(), line != "." {}
                step = "end"
            } else {
                guard let line = peer.readLine() else { return }
                step = step == "AUTH" ? "credentials" : String(line.prefix { $0 != " " })
                heard.withLock { $0.append(step) }
            }
        }
    }

    private static func usual(_ step: String) -> String {
        switch step {
        case "greeting": "220 here"
        case "EHLO": "250-here\r\n250 AUTH PLAIN"
        case "AUTH": "334 "
        case "credentials": "235 welcome"
        case "DATA": "354 go on"
        case "QUIT": "221 bye"
        default: "250 fine"
        }
    }
}
