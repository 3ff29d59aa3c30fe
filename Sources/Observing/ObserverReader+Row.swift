import Capture

/// Rows of FraiseQL's table.
extension ObserverReader {
    mutating func readRow(_ row: DatabaseObserverRow) {
        let path = "tb_observer." + Self.pathPart(row.name)
        var members: [String: ObserverValue] = [
            "entity": row.entityType.map { .text($0) } ?? .null,
            "condition": row.conditionExpression.map { .text($0) } ?? .null,
            "priority": .integer(row.priority), "timeout_ms": .integer(row.timeoutMilliseconds), "enabled": .boolean(row.isEnabled),
        ]
        if let type = row.eventType {
            members["event_type"] = .text(type)
        } else {
            members["event_type"] = .text(EventType.insert.rawValue)
            note(
                path,
                "event_type is NULL, which FraiseQL's server takes for INSERT, and slotstream-observer as well, though the column's comment says all events. "
                    + "Write the event_type, in one row for each.")
        }
        if let retry = json(row.retryConfig ?? "null", "\(path).retry") { members["retry"] = retry }
        var actions: [ObserverValue] = []
        for (index, text) in row.actions.enumerated() {
            guard let value = json(text, "\(path).actions[\(index)]") else { continue }
            // FraiseQL's column is one JSON array of all.
            if case .list(let values) = value { actions += values } else { actions.append(value) }
        }
        members["actions"] = .list(actions)
        readObserver(Table(path: path, members: members), name: row.name)
    }

    private mutating func json(_ text: String, _ path: String) -> ObserverValue? {
        if let value = JSONValue(Array(text.utf8)) { return ObserverValue(value) }
        complain(path, "is not JSON")
        return nil
    }
}
