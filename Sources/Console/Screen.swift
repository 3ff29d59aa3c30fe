import Glibc

/// What text is written for: a terminal of so many columns, with or without colours; or whoever reads a pipe, for whom no line is broken.
package struct Screen {
    /// What something is marked by, beside its words: nothing is told by a colour alone.
    package enum Mark: String {
        case good = "32"
        case warning = "33"
        case bad = "31"
        case special = "35"
        case faint = "2"
        case strong = "1"
    }

    /// nil: as wide as it takes.
    package var columns: Int?
    package var isColoured = false

    package init(columns: Int? = nil, isColoured: Bool = false) {
        self.columns = columns
        self.isColoured = isColoured
    }

    /// Fewer than these are not reckoned with.
    private static let fewestColumns = 40

    /// What standard output is.
    package static func ofOutput() -> Screen {
        guard isatty(STDOUT_FILENO) == 1 else { return Screen() }
        var size = winsize()
        let columns = ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
        return Screen(columns: max(fewestColumns, columns), isColoured: wantsColours())
    }

    /// `NO_COLOR` (no-color.org) says no, whatever its value is; a terminal that can do nothing is called dumb.
    private static func wantsColours() -> Bool {
        let isRefused = getenv("NO_COLOR").map { $0.pointee != 0 } ?? false
        return !isRefused && getenv("TERM").map { String(cString: $0) != "dumb" } ?? true
    }

    /// `text`, marked where there are colours.
    package func marked(_ text: String, _ mark: Mark) -> String { isColoured ? "\u{1B}[\(mark.rawValue)m\(text)\u{1B}[0m" : text }

    /// `text` in lines that fit, each but the first behind `indent` blanks. What stands between backticks is a command and is not broken.
    package func wrapped(_ text: String, indent: Int) -> String {
        columns.map { Self.lines(of: Self.words(text), in: $0, indent: indent) } ?? text
    }

    /// `lead` and these parts, in lines that fit: broken between parts, and within one only where it is too long for a line.
    package func wrapped(_ lead: String, _ parts: [String], separator: String, indent: Int) -> String {
        guard let columns else { return lead + parts.joined(separator: separator) }
        let ending = String(separator.reversed().drop { $0 == " " }.reversed())
        let pieces = parts.enumerated().flatMap { index, part in
            let piece = index + 1 < parts.count ? part + ending : part
            return indent + Self.width(piece) > columns ? Self.words(piece) : [piece]
        }
        // What leads the line is as wide as what stands before the others.
        return Self.lines(of: [lead + (pieces.first ?? "")] + pieces.dropFirst(), in: columns, indent: indent)
    }

    private static func lines(of pieces: [String], in columns: Int, indent: Int) -> String {
        var lines = [""]
        var width = 0
        for piece in pieces {
            let pieceWidth = Self.width(piece)
            if width > 0, (lines.count == 1 ? 0 : indent) + width + 1 + pieceWidth > columns {
                lines.append(String(repeating: " ", count: indent) + piece)
                width = pieceWidth
            } else {
                lines[lines.count - 1] += width > 0 ? " " + piece : piece
                width += pieceWidth + (width > 0 ? 1 : 0)
            }
        }
        return lines.joined(separator: "\n")
    }

    /// Rows in columns, the first row being the header; where they do not fit, these columns go, in this order, and then the end of the first.
    package func table(_ rows: [[String]], droppable: [Int]) -> String {
        var shown = Array(rows[0].indices)
        func widths() -> [Int] { shown.map { column in rows.map { Self.width($0[column]) }.max() ?? 0 } }
        func excess() -> Int { columns.map { widths().reduce(0, +) + 2 * (shown.count - 1) - $0 } ?? 0 }
        for column in droppable where excess() > 0 { shown.removeAll { $0 == column } }
        var rows = rows
        let rest = excess()
        if rest > 0, let first = shown.first {
            let room = max(1, (widths().first ?? 0) - rest)
            for index in rows.indices { rows[index][first] = Self.cut(rows[index][first], to: room) }
        }
        let columnWidths = shown.map { column in rows.map { Self.width($0[column]) }.max() ?? 0 }
        return rows.map { row in
            zip(shown, columnWidths).enumerated().map { index, place in
                index + 1 == shown.count ? row[place.0] : row[place.0] + String(repeating: " ", count: place.1 - Self.width(row[place.0]) + 2)
            }.joined()
        }.joined(separator: "\n")
    }

    /// `text`, or as much of it as fits in `width` columns with `…` behind it.
    package static func cut(_ text: String, to width: Int) -> String {
        guard Self.width(text) > width else { return text }
        var room = width - 1
        return text.prefix { character in
            room -= Self.width(of: character)
            return room >= 0
        } + "…"
    }

    /// Columns that `text` takes.
    package static func width(_ text: String) -> Int { text.reduce(0) { $0 + width(of: $1) } }

    /// Two for what Unicode calls wide (UAX #11), as terminals draw it.
    private static func width(of character: Character) -> Int {
        guard let scalar = character.unicodeScalars.first, scalar.value >= 0x1100 else { return 1 }
        return wide.contains { $0.contains(scalar.value) } ? 2 : 1
    }

    /// Hangul's first consonants, the scripts of China and Japan, Hangul, their full-width forms, emoji, and further ideographs.
    private static let wide: [ClosedRange<UInt32>] = [
        0x1100...0x115F, 0x2E80...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF, 0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1F64F,
        0x1F680...0x1F6FF, 0x1F900...0x1F9FF, 0x20000...0x3FFFD,
    ]

    /// Behind `text`, blanks up to `width`; at least one.
    package static func padded(_ text: String, to width: Int) -> String { text + String(repeating: " ", count: max(1, width - Self.width(text))) }

    /// The words of a text that begins a line: what leads it (blanks of a label) stays with the first.
    private static func words(_ text: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isCommand = false
        for character in text {
            if character == "`" { isCommand.toggle() }
            if character == " ", !isCommand, word.contains(where: { $0 != " " }) {
                words.append(word)
                word = ""
            } else {
                word.append(character)
            }
        }
        return word.isEmpty ? words : words + [word]
    }
}
