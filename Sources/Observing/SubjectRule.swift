import Capture

/// Which subjects observers may publish on: valid ones, and none where the streamer or the server itself does.
struct SubjectRule {
    /// The prefix of the subjects that the streamer writes.
    let livePrefix: String

    /// A part of a subject between two dots, as far as it is known before there is an event.
    private enum Token {
        case fixed(String)
        /// With a place in it.
        case open
    }

    /// nil: the subject may be published on, whatever the event.
    func refusal(of template: Template) -> String? {
        let limit = NATSAction.subjectByteCountLimit
        guard template.text.utf8.count <= limit, template.placeCount <= Template.placeLimit else {
            return "must have at most \(limit) bytes and \(Template.placeLimit) places, {{ key }}"
        }
        for literal in template.literals {
            guard literal?.utf8.allSatisfy({ EntityNaming.isPlain($0) || ".%$=:/@+~".utf8.contains($0) }) ?? true else {
                return "has a character that a subject here may not have; allowed are A-Z a-z 0-9 _ - . % $ = : / @ + ~ and places, {{ key }}"
            }
        }
        let tokens = Self.tokens(template)
        guard !tokens.contains(where: { if case .fixed("") = $0 { true } else { false } }) else {
            return "has an empty token; write the tokens with one dot between two of them, as in orders.paid"
        }
        if case .fixed(let first) = tokens.first, first.hasPrefix("$") || first.hasPrefix("_INBOX") {
            return "begins with \(first), which is the server's own"
        }
        if mayLieUnder(livePrefix, tokens) {
            return "may lie under \(livePrefix), where only the streamer publishes; begin with another token, as in observed.…"
        }
        return nil
    }

    /// Whether a subject of these tokens can be one that the stream of `prefix` captures.
    private func mayLieUnder(_ prefix: String, _ tokens: [Token]) -> Bool {
        let parts = prefix.split(separator: ".").map(String.init)
        guard tokens.count > parts.count else { return false }
        return zip(tokens, parts).allSatisfy { token, part in
            if case .fixed(let name) = token { name == part } else { true }
        }
    }

    private static func tokens(_ template: Template) -> [Token] {
        var tokens: [Token] = []
        var current = ""
        var isOpen = false
        func end() {
            tokens.append(isOpen ? .open : .fixed(current))
            current = ""
            isOpen = false
        }
        for literal in template.literals {
            guard let literal else {
                isOpen = true
                continue
            }
            for character in literal {
                if character == "." { end() } else { current.append(character) }
            }
        }
        end()
        return tokens
    }
}
