import Console
import Pipeline
import WAL

/// A stored event as one line for people: when, where, what and whose it is, and as many columns as fit.
enum EventLine {
    /// Columns where nobody says how wide the line may be.
    private static let columnLimit = 6

    static func text(_ event: EventReader.Event, on screen: Screen, today: PostgresTimestamp) -> String {
        let parts = ShownEvent.parts(event, today: today)
        var pieces = [parts.time, parts.sequence, parts.name, parts.entityID, parts.note].compactMap { $0 }
        let ending = parts.transaction.map { "   \($0)" } ?? ""
        if let columns = screen.columns {
            // What the columns may take.
            var room = columns - pieces.map { Screen.width($0) + 2 }.reduce(0, +) - Screen.width(ending)
            var shown: [String] = []
            for column in parts.columns {
                guard Screen.width(column) <= room else {
                    if room > 12 { shown.append(Screen.cut(column, to: room)) }
                    break
                }
                shown.append(column)
                room -= Screen.width(column) + 1
            }
            if !shown.isEmpty { pieces.append(shown.joined(separator: " ")) }
            let line = Screen.cut(pieces.joined(separator: "  ") + ending, to: columns)
            return coloured(line, parts, screen)
        }
        if !parts.columns.isEmpty { pieces.append(parts.columns.prefix(columnLimit).joined(separator: " ")) }
        return pieces.joined(separator: "  ") + ending
    }

    /// Colours the name: the rest of the line stays as it is.
    private static func coloured(_ line: String, _ parts: ShownEvent.Parts, _ screen: Screen) -> String {
        guard let mark = mark(parts.tone), let range = line.firstRange(of: "  \(parts.name)  ") else { return line }
        return line[..<range.lowerBound] + "  " + screen.marked(parts.name, mark) + "  " + line[range.upperBound...]
    }

    private static func mark(_ tone: ShownEvent.Parts.Tone) -> Screen.Mark? {
        switch tone {
        case .insert: .good
        case .update: .warning
        case .delete: .bad
        case .special: .special
        case .plain: nil
        }
    }
}
