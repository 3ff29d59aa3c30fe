import Capture
import History
import PGOutput
package import PostgresReplication
package import WAL

/// What is asked of the server that has the slot, beside the stream: over an ordinary connection, or of a model.
package protocol SlotServer: AnyObject {
    /// It cannot be asked: the connection is lost.
    var isLost: Bool { get }
    /// It can be asked now: the connection is neither lost nor lent to somebody who asks about tables.
    var isAskable: Bool { get }
    /// The connection is being made anew.
    var isConnecting: Bool { get }
    /// For a wait that the end of the connection is to end; nil: there is none here.
    var socket: Int32? { get }
    /// Called ten times a second while an answer is waited for.
    var whileWaiting: () -> Void { get set }
    /// Why the last question that has no answer has none.
    var questionError: PostgresError? { get }

    /// Notices the end of the connection, without waiting.
    func look()
    /// The connection is lost.
    func lost()
    /// Whether it was made anew by now; begins to where nobody has.
    /// - Throws: Why the attempt that was under way came to nothing.
    func hasReconnected() throws(PostgresError) -> Bool

    /// How the server shows the slot; nil: it has none of that name.
    func slot() throws(PostgresError) -> SlotState?
    /// How far it has written.
    func writtenLSN() throws(PostgresError) -> LSN
    /// What the catalogue says of the publication; nil, with `questionError` set: it could not be asked.
    func publicationState() -> PublicationState?
    /// What is published, where `isChanged` says so of the mark that the catalogue has now; nil: nothing is new, or it could not be asked.
    func publicationContents(
        ifChanged isChanged: (_ mark: String?) -> Bool
    ) -> (mark: String?, contents: PublicationContents)?
    /// Moves the slot, which nobody holds any more; nil, with `questionError` set, if that fails.
    func advanceSlot(to lsn: LSN) -> LSN?
}
