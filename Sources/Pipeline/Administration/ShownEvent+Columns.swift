import Capture
import History
package import WAL

extension ShownEvent {
    /// What a line is made of, each part on one line and without what could steer a terminal: who prints it chooses how much of it fits.
    package struct Parts: Sendable, Equatable {
        /// How the line is marked, beside its words.
        package enum Tone: Sendable {
            case insert, update, delete, special, plain
        }

        /// When it was committed, else stored: `13:07:09.027`, with the date where that is not today. UTC.
        package var time: String
        /// `#1`
        package var sequence: String
        /// `Order INSERT`; the subject of what is no event.
        package var name: String
        package var tone: Tone
        /// The first characters, where it is long.
        package var entityID: String?
        /// What a marker means, in words.
        package var note: String?
        /// `status=paid`, `status=open→paid`, in the row's order.
        package var columns: [String]
        /// `tx 848 1/1`: its place in its transaction, and how many there are, `…` before the last. `backfill 3`: it is of none, but of that run.
        package var transaction: String?
    }

    /// Of an entity's id that is shown; a UUID's first group.
    private static let idLimit = 8
    /// Characters of a value.
    private static let valueLimit = 40

    /// - Parameter today: By whose date a time goes without one.
    package static func parts(_ event: EventReader.Event, today: PostgresTimestamp) -> Parts {
        let summary = EventSummary(event.payload, subject: event.subject)
        let at = summary?.timestamp.flatMap { PostgresTimestamp(rfc3339: $0) } ?? event.storedAt
        var parts = Parts(
            time: at.map { time($0, today: today) } ?? "-", sequence: "#\(event.sequence)", name: oneLine(event.subject), tone: .special,
            columns: [])
        guard let summary else {
            parts.note = "not an event"
            parts.columns = [cut(line(event.payload))]
            return parts
        }
        parts.tone = tone(summary)
        parts.note = summary.kind == .backfill ? note(ofBackfill: event.payload, summary) : note(summary)
        if summary.kind == .event || summary.kind == .quarantined {
            parts.name = oneLine("\(summary.entity) \(summary.operation)")
            parts.entityID = summary.entityID.map { oneLine($0.count > idLimit + 4 ? $0.prefix(idLimit) + "…" : $0) }
        } else {
            parts.name = summary.operation
        }
        parts.columns = shown(summary).map { column in
            "\(oneLine(column.name))=" + (column.old.map { "\(value($0))→" } ?? "") + value(column.value)
        }
        if let id = summary.transactionID, let ordinal = summary.ordinal {
            parts.transaction = "tx \(oneLine(id)) \(ordinal)/\(summary.isLast ? "\(ordinal)" : "…")"
        } else if summary.kind == .event, let run = summary.backfillID {
            parts.transaction = "backfill \(cut(oneLine(run)))"
        }
        return parts
    }

    /// Of a marker, what is looked for first.
    private static let leadingMembers = ["from_lsn", "to_lsn", "missing_count", "reason", "accepted_by"]
    /// What a marker stands for, which its note names.
    private static let subjectMembers = ["entity_type", "operation", "entity_id"]

    /// Of a marker of a backfill, what its note does not say, and people look for.
    private static let backfillMembers = ["partition", "condition", "pass", "why"]

    /// Its columns as they are shown: a row's without the one that the id is; a marker's with what matters first.
    private static func shown(_ summary: EventSummary) -> [EventSummary.Column] {
        if summary.kind == .event { return summary.columns.filter { $0.value != summary.entityID || $0.old != nil } }
        if summary.kind == .backfill {
            return backfillMembers.compactMap { name in summary.columns.first { $0.name == name } }
                .filter { $0.name != "pass" || $0.value != "1" }
        }
        let leading = leadingMembers.compactMap { name in summary.columns.first { $0.name == name } }
        return leading + summary.columns.filter { $0.name != "id" && !(leadingMembers + subjectMembers).contains($0.name) }
    }

    private static func tone(_ summary: EventSummary) -> Parts.Tone {
        guard summary.kind == .event else { return .special }
        switch summary.operation {
        case "INSERT", "READ": return .insert
        case "UPDATE": return .update
        case "DELETE", "TRUNCATE": return .delete
        default: return .plain
        }
    }

    private static func note(_ summary: EventSummary) -> String? {
        let subject = subjectMembers.compactMap { name in summary.columns.first { $0.name == name }?.value }.joined(separator: " ")
        return meaning(summary).map { subject.isEmpty || summary.kind == .event ? $0 : "\($0): \(cut(oneLine(subject)))" }
    }

    /// What a marker of a backfill says.
    private static func note(ofBackfill payload: [UInt8], _ summary: EventSummary) -> String {
        let run = "backfill \(cut(oneLine(summary.backfillID ?? "?")))"
        guard let marker = BackfillMarker(json: payload)?.backfill else { return run }
        let table = marker.table.map(oneLine) ?? "?"
        let rows = marker.rows.map { "\($0) row\($0 == 1 ? "" : "s")" } ?? "? rows"
        let event =
            switch marker.event {
            case .begin: "begins: " + (marker.tables ?? []).map(oneLine).joined(separator: ", ")
            case .whole: "\(table) follows, whole: forget the rows of before"
            case .restart: "\(table) begins anew"
            case .table: "\(table) read: \(rows)"
            case .end: "ends: \(rows)"
            case .cancelled: "cancelled"
            }
        return "\(run): \(event)"
    }

    private static func meaning(_ summary: EventSummary) -> String? {
        switch summary.kind {
        case .gap: "changes are missing"
        case .hole: "missing events follow late"
        case .skip: "passed over on purpose"
        case .backfill: nil
        case .quarantined: "cannot be an event"
        case .event:
            if let late = summary.lateID { "late, for \(oneLine(late))" } else { summary.omitted.map { "without its data: \(oneLine($0))" } }
        }
    }

    /// A value's beginning; in quotes where blanks would make it look like two.
    private static func value(_ text: String) -> String {
        let text = cut(oneLine(text))
        return text.isEmpty || text.contains(" ") && !text.hasPrefix("{") && !text.hasPrefix("[") ? "\"\(text)\"" : text
    }

    private static func cut(_ text: String) -> String { text.count > valueLimit ? text.prefix(valueLimit) + "…" : text }

    private static func time(_ time: PostgresTimestamp, today: PostgresTimestamp) -> String {
        let text = time.description
        let clock = text.dropFirst(11).prefix(12)
        return text.prefix(10) == today.description.prefix(10) ? String(clock) : "\(text.prefix(10)) \(clock)"
    }
}
