import Capture
import SeededRandom
import Testing

@testable import Observing

/// Nothing that a user writes and nothing that a row holds traps, and what holds for all holds for these.
@Suite struct FuzzTests {
    private static let rounds = 2_000

    /// Of the texts of a condition, in any order.
    private static let conditionParts = [
        "total", "status", "data.", "missing", "paid", "==", "!=", ">", "<", ">=", "<=", "=", "&&", "||", "&", "|", "!", "(", ")", "'", "'shipped'",
        "'", "5", "12.50", "-1e3", "true",
        "null", "has_field(", "field_changed('status')", "field_changed_to('status','shipped')", ",", " ", "\t", "_", ".", "é", "\u{301}", "\"",
        "{{ id }}", "0", "\u{0}", "1e999999999999",
    ]

    private static func text(_ parts: [String], count: ClosedRange<Int>, using random: inout SplitMix64) -> String {
        (0..<Int.random(in: count, using: &random)).map { _ in parts[Int.random(in: parts.indices, using: &random)] }.joined()
    }

    /// Any characters, those that mean something more often.
    private static func anyText(count: Int, using random: inout SplitMix64) -> String {
        let special = Array("{}\"\\'\r\n\0 .,@<>:;=?%&|!()[]data event idé\u{301}\u{2028}😀\u{200D}".unicodeScalars)
        var text = String.UnicodeScalarView()
        for _ in 0..<Int.random(in: 0...count, using: &random) {
            let scalar =
                Bool.random(using: &random)
                ? special[Int.random(in: special.indices, using: &random)] : Unicode.Scalar(UInt32.random(in: 0...0xFFFF, using: &random))
            text.append(scalar ?? "x")
        }
        return String(text)
    }

    private static func json(_ text: String) -> String { String(decoding: JSONText.string(text), as: UTF8.self) }

    // MARK: - Conditions

    /// An answer, or why there is none.
    private static func answer(_ text: String, _ event: ObservedEvent) -> Result<Bool, ConditionError>? {
        guard let condition = try? Condition(parsing: text) else { return nil }
        do throws(ConditionError) {
            return .success(try condition.evaluate(event))
        } catch {
            return .failure(error)
        }
    }

    @Test func conditionsAnswerOrSayWhy() throws {
        let event = try EventSamples.event(EventSamples.update)
        let bare = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"UPDATE","entity":[1]}"#)
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let text = Self.text(Self.conditionParts, count: 1...12, using: &random)
            do {
                let condition = try Condition(parsing: text)
                // What holds of any condition: parentheses change nothing, `!` turns an answer round, and a part beside itself decides nothing anew.
                let answer = Self.answer(text, event)
                #expect(Self.answer("(\(text))", event) == answer, "seed \(seed)")
                #expect(Self.answer("!(\(text))", event) == answer?.map { !$0 }, "seed \(seed)")
                #expect(Self.answer("(\(text)) && (\(text))", event) == answer, "seed \(seed)")
                #expect(Self.answer("(\(text)) || (\(text))", event) == answer, "seed \(seed)")
                _ = try? condition.evaluate(bare)
            } catch {
                guard case .syntax(let offset, let what) = error else {
                    Issue.record("seed \(seed): \(error)")
                    continue
                }
                #expect((0...text.utf8.count).contains(offset) && !what.isEmpty, "seed \(seed)")
            }
        }
    }

    /// Parts whose answers are known, joined at random: what the whole gives is told by Swift's own operators.
    @Test func conditionsJoinTheirParts() throws {
        let event = try EventSamples.event(EventSamples.update)
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let (text, expected) = Self.joined(depth: 5, using: &random)
            guard text.utf8.count <= Condition.byteCountLimit else { continue }
            #expect(Self.answer(text, event) == expected, "seed \(seed): \(text)")
        }
    }

    private static let knownParts: [(String, Result<Bool, ConditionError>)] = [
        ("total == 12.5", .success(true)), ("status == 'pending'", .success(false)), ("has_field('status')", .success(true)),
        ("data.paid == false", .success(false)),
        ("field_changed('status')", .success(true)), ("field_changed_from('status', 'shipped')", .success(false)),
        ("missing > 1", .failure(.missingField("missing"))),
        ("status > 1", .failure(.notNumber(field: "status"))),
    ]

    private static func joined(depth: Int, using random: inout SplitMix64) -> (String, Result<Bool, ConditionError>) {
        let choice = depth > 0 ? Int.random(in: 0...4, using: &random) : 0
        if choice == 0 { return knownParts[Int.random(in: knownParts.indices, using: &random)] }
        let (left, leftAnswer) = joined(depth: depth - 1, using: &random)
        if choice == 1 { return ("!(\(left))", leftAnswer.map { !$0 }) }
        let (right, rightAnswer) = joined(depth: depth - 1, using: &random)
        // In parentheses each: which binds closer is a test of its own.
        return choice == 2
            ? ("(\(left)) && (\(right))", leftAnswer.flatMap { $0 ? rightAnswer : .success(false) })
            : ("(\(left))||(\(right))", leftAnswer.flatMap { $0 ? .success(true) : rightAnswer })
    }

    @Test func conditionsTakeAnyText() {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let text = Self.anyText(count: 60, using: &random)
            if let condition = try? Condition(parsing: text) { #expect(condition.text == text, "seed \(seed)") }
        }
    }

    /// A comparison's answer against a judge of its own: the same arithmetic in whole thousandths.
    @Test func conditionsCompareNumbers() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let left = Int.random(in: -3_000...3_000, using: &random)
            let right = Bool.random(using: &random) ? left : Int.random(in: -3_000...3_000, using: &random)
            let event = try EventSamples.insert(#"{"n":\#(Self.decimal(left, using: &random))}"#)
            let literal = Self.decimal(right, using: &random)
            for (comparison, expected) in [
                ("==", left == right), ("!=", left != right), ("<", left < right), (">", left > right), ("<=", left <= right), (">=", left >= right),
            ] {
                #expect(Self.answer("n \(comparison) \(literal)", event) == .success(expected), "seed \(seed): \(comparison) \(literal)")
            }
        }
    }

    /// A number of thousandths in one of its spellings.
    private static func decimal(_ thousandths: Int, using random: inout SplitMix64) -> String {
        let sign = thousandths < 0 ? "-" : ""
        let digits = String(thousandths.magnitude)
        let padded = String(repeating: "0", count: max(4 - digits.count, 0)) + digits
        switch Int.random(in: 0...2, using: &random) {
        case 0: return "\(sign)\(padded.dropLast(3)).\(padded.suffix(3))"
        case 1: return "\(sign)\(digits)e-3"
        default: return "\(sign)\(padded.dropLast(3)).\(padded.suffix(3))000"
        }
    }

    // MARK: - Templates and what is made of them

    private static let templateParts = [
        "{{ name }}", "{{ data.name }}", "{{ event.id }}", "{{ missing }}", "{{", "}}", "{{ ", " }}", "{", "}", " ", "name", "\"", "\\", "\"a\":",
        ",", "[", "]", "é", "\n", "{{ tags }}",
    ]

    private static func event(using random: inout SplitMix64) throws -> ObservedEvent {
        let name = json(anyText(count: 30, using: &random))
        let tag = json(anyText(count: 10, using: &random))
        return try EventSamples.insert(#"{"name":\#(name),"tags":[\#(tag),{"x":\#(tag)}],"status":"paid","email":\#(name)}"#)
    }

    @Test func templatesRenderAnything() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let event = try Self.event(using: &random)
            let template = Template(
                Bool.random(using: &random) ? Self.text(Self.templateParts, count: 0...10, using: &random) : Self.anyText(count: 40, using: &random))
            for escaping in [Template.Escaping.none, .json, .subjectToken, .slack] { _ = template.render(event, escaping: escaping) }
            #expect(JSONValue(template.renderJSON(event)) != nil, "seed \(seed)")
            // Without a place nothing changes.
            if template.isFixed { #expect(template.render(event, escaping: .none) == template.text, "seed \(seed)") }
        }
    }

    @Test func rowsNeverLeaveTheirString() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let event = try Self.event(using: &random)
            let body = Template(#"{"a":"<{{ name }}>","b":{{ tags }},"c":"{{ tags }}","d":"{{ status }}"}"#).renderJSON(event)
            let object = try #require(JSONValue(body)?.object, "seed \(seed)")
            #expect(object.members.map { String(decoding: $0.name, as: UTF8.self) } == ["a", "b", "c", "d"], "seed \(seed)")
            #expect(object["a"]?.string.map { $0.utf8.elementsEqual("<\(event.field("name")?.string ?? "?")>".utf8) } == true, "seed \(seed)")
            #expect(object["b"] == event.field("tags"), "seed \(seed)")
            #expect(object["c"]?.string.map { Array($0.utf8) } == event.field("tags").map { Array($0.text) }, "seed \(seed)")
            #expect(object["d"]?.string == "paid", "seed \(seed)")
        }
    }

    @Test func rowsNeverLeaveTheirToken() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let event = try Self.event(using: &random)
            let subject = try NATSAction(subjectTemplate: Template("a.{{ name }}.{{ tags }}.{{ missing }}"), bodyTemplate: nil).subject(for: event)
            let tokens = subject.split(separator: ".", omittingEmptySubsequences: false)
            #expect(tokens.count == 4 && tokens.allSatisfy { !$0.isEmpty }, "seed \(seed)")
            #expect(subject.utf8.allSatisfy { EntityNaming.isPlain($0) || $0 == UInt8(ascii: ".") || $0 == UInt8(ascii: "%") }, "seed \(seed)")
        }
    }

    @Test func rowsNeverLeaveTheirHeader() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let event = try Self.event(using: &random)
            let action = EmailAction(
                recipient: .template(Template("{{ email }} <ops@example.com>")), subject: .template(Template("{{ name }}")),
                bodyTemplate: Template("{{ name }}"), replyTo: nil)
            let message = try action.message(for: event)
            #expect(isOneLine(message.subject) && isOneLine(message.to.text), "seed \(seed)")
            #expect(message.to.text.hasSuffix("ops@example.com>") || message.to.text == "ops@example.com", "seed \(seed)")
            #expect(message.to.text.split(separator: "<", omittingEmptySubsequences: false).count <= 2, "seed \(seed)")
            #expect(message.to.address == "ops@example.com", "seed \(seed)")
            if let address = MailAddress(Self.anyText(count: 8, using: &random)) {
                #expect(address.address.split(separator: "@").count == 2, "seed \(seed)")
            }
        }
    }

    // MARK: - Events

    @Test func eventsAreReadOrNot() {
        let sample = Array(EventSamples.update.utf8)
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            var payload = sample
            for _ in 0..<Int.random(in: 1...4, using: &random) {
                payload[Int.random(in: payload.indices, using: &random)] =
                    Bool.random(using: &random) ? UInt8.random(in: 0...255, using: &random) : UInt8(ascii: "\"")
            }
            guard let event = ObservedEvent(payload: payload, messageID: nil) else { continue }
            _ = event.headerID
            _ = event.change(of: "status")
            #expect(JSONValue(DatabaseAction(function: ["f"], params: nil).argument(for: event)) != nil, "seed \(seed)")
            #expect(!event.entityType.isEmpty && !event.operation.isEmpty, "seed \(seed)")
        }
        for count in sample.indices { #expect(ObservedEvent(payload: Array(sample[..<count]), messageID: nil) == nil) }
    }

    // MARK: - Definitions

    private static let keys = [
        "name", "entity", "event_type", "condition", "on_failure", "retry", "actions", "priority", "timeout_ms", "enabled", "runtime", "email",
        "type", "url", "url_env", "headers",
        "method", "body_template", "signing_secret", "webhook_url", "to", "to_template", "subject", "function_name", "params", "level",
        "message_template", "max_attempts", "host",
        "from", "username_env", "password_env", "x", "", "é",
    ]
    private static let texts = [
        "webhook", "slack", "email", "database", "log", "nats", "sms", "INSERT", "Order", "https://example.com", "a@b", "HOOK_URL", "{{ id }}",
        "orders.{{ id }}", "total > 1", "app.fn",
        "info", "", "\r\n", "5",
    ]

    private static func value(depth: Int, using random: inout SplitMix64) -> ObserverValue {
        let count = Int.random(in: 0...6, using: &random)
        switch Int.random(in: 0...(depth > 0 ? 12 : 7), using: &random) {
        case 0: return .integer(Bool.random(using: &random) ? Int.random(in: -1...600, using: &random) : .max)
        case 1: return .number(.nan)
        case 2: return .decimal("18446744073709551616")
        case 3: return .boolean(Bool.random(using: &random))
        case 4: return .null
        case 5: return .unsupported("a date")
        case 6: return .text(anyText(count: 20, using: &random))
        case 7: return .text(texts[Int.random(in: texts.indices, using: &random)])
        case 8, 9: return .list((0..<count).map { _ in value(depth: depth - 1, using: &random) })
        default:
            var members: [String: ObserverValue] = [:]
            for _ in 0..<count { members[keys[Int.random(in: keys.indices, using: &random)]] = value(depth: depth - 1, using: &random) }
            return .table(members)
        }
    }

    @Test func definitionsAreReadOrNot() throws {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            let file = ObserverFile.read(Self.value(depth: 6, using: &random), environment: Definitions.environment, livePrefix: "fraiseql.mutation")
            for mistake in file.mistakes {
                #expect(mistake.path.hasPrefix("observers") && !mistake.what.isEmpty, "seed \(seed)")
                // A text of a log: one line.
                #expect(!mistake.description.unicodeScalars.contains { $0.properties.generalCategory == .control }, "seed \(seed): \(mistake)")
            }
        }
    }

    /// A right definition with one thing changed is right or told.
    @Test func damagedDefinitionsAreTold() throws {
        let json =
            #"{"runtime":{"email":{"host":"h","from":"a@b"}},"a":{"event_type":"UPDATE","entity":"Order","condition":"total > 1","retry":{"max_attempts":2},"actions":[{"type":"webhook","url":"https://x","headers":{"a":"b"}},{"type":"email","to":"a@b","subject":"s","body_template":"b"},{"type":"nats","subject":"o.{{ id }}"}]}}"#
        #expect(try Definitions.file(json).mistakes == [])
        let bytes = Array(json.utf8)
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            var damaged = bytes
            damaged[Int.random(in: bytes.indices, using: &random)] = UInt8.random(in: 0x20...0x7E, using: &random)
            guard let value = JSONValue(damaged) else { continue }
            let file = ObserverFile.read(ObserverValue(value), environment: [:], livePrefix: "fraiseql.mutation")
            #expect(!file.definitions.isEmpty || !file.mistakes.isEmpty, "seed \(seed): \(String(decoding: damaged, as: UTF8.self))")
        }
    }

    @Test func rowsAreReadOrNot() {
        for seed in 0..<UInt64(Self.rounds) {
            var random = SplitMix64(seed: seed)
            var row = DatabaseObserverRow(
                name: Self.anyText(count: 10, using: &random),
                actions: [Self.value(depth: 5, using: &random).json.map { String(decoding: $0, as: UTF8.self) } ?? "["])
            row.conditionExpression = Self.text(Self.conditionParts, count: 0...8, using: &random)
            row.eventType = Self.anyText(count: 3, using: &random)
            row.retryConfig = Self.value(depth: 2, using: &random).json.map { String(decoding: $0, as: UTF8.self) }
            row.priority = Int.random(in: .min ... .max, using: &random)
            let reading = row.read(environment: [:], livePrefix: "p", hasMailServer: false)
            #expect((reading.definition == nil) == !reading.mistakes.isEmpty, "seed \(seed)")
        }
    }
}
