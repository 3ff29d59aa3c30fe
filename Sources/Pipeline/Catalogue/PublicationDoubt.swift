import PostgresReplication
import Synchronization

/// Whether the walsender has warned that it skipped something: from PostgreSQL 18 on it does not end for a publication that it does not find.
///
/// The warning comes in its place among what is sent. It is told by its code; what it means the catalogue decides.
package final class PublicationDoubt: Sendable {
    private let raised = Atomic<Bool>(false)

    package init() {}

    func heard(_ notice: PostgresNotice) {
        if notice.sqlState == "55000" { raised.store(true, ordering: .relaxed) }
    }

    var isRaised: Bool { raised.load(ordering: .relaxed) }

    /// It was about something else.
    func dismiss() { raised.store(false, ordering: .relaxed) }
}
