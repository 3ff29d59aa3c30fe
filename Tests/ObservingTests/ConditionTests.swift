import SeededRandom
import Testing

@testable import Observing

@Suite struct ConditionTests {
    /// What a condition gives.
    enum Answer: Equatable {
        case yes, no
        case missing, notNumber, unknown
        /// Not read at all.
        case wrong
    }

    private static func answer(_ text: String, _ event: ObservedEvent) -> Answer {
        guard let condition = try? Condition(parsing: text) else { return .wrong }
        do {
            return try condition.evaluate(event) ? .yes : .no
        } catch {
            switch error {
            case .missingField, .unsentField: return .missing
            case .notNumber: return .notNumber
            case .unknownChange: return .unknown
            case .tooLong, .syntax: return .wrong
            }
        }
    }

    /// FraiseQL's answers: from its own tests (condition/tests.rs), its sources, and observer.md.
    static let table: [(String, Answer)] = [
        // Numbers.
        ("total > 10", .yes), ("total > 100", .no), ("total < 100", .yes), ("total >= 12.5", .yes), ("total <= 12.50", .yes), ("total == 12.5", .yes),
        ("total == 12.500", .yes), ("total != 12.5", .no), ("total == 12.51", .no), ("total > 12.49999999999999999999999", .yes),
        ("total < 12.50000000000000000000001", .yes), ("total == 1.25e1", .yes), ("total == 125e-1", .yes), ("discount == 0", .yes),
        ("discount != 0", .no),
        ("discount == -0", .yes), ("discount > -1", .yes), ("qty == 5", .yes), ("qty != 5", .no), ("qty == 6", .no), ("qty == 5.0", .yes),
        ("qty==5", .yes),
        ("qty>=5&&qty<=5", .yes), ("big == 9007199254740993", .yes), ("big == 9007199254740992", .no), ("big != 9007199254740992", .yes),
        ("big > 9007199254740992", .yes), ("big < 9007199254740994", .yes), ("big < 1e400", .yes), ("big > -1e400", .yes), ("total > 1e-400", .yes),
        ("huge == 18446744073709551616", .yes), ("huge == 18446744073709551617", .no), ("huge > 18446744073709551615", .yes), ("tiny == 1e-30", .yes),
        ("tiny > 0", .yes), ("negative < -1.4", .yes), ("negative > -1.6", .yes), ("negative == -1.50", .yes),
        // Texts.
        ("status == 'shipped'", .yes), ("status == 'pending'", .no), ("status != 'pending'", .yes), ("status != 'shipped'", .no),
        ("status == 'Shipped'", .no),
        ("note == ''", .yes), ("note != ''", .no), ("status == ''", .no), ("code == '100'", .yes), ("code == 100", .no), ("code != 100", .yes),
        ("total == '12.5'", .no), ("total != '12.5'", .yes), ("status == shipped", .yes), ("status == pending", .no), ("code == 0100", .no),
        ("phone == 0100", .yes), ("date == 2026-11-29", .yes), ("status=='shipped'", .yes), ("accent == 'Ève'", .yes), ("accent == Ève", .yes),
        ("prénom == 'x'", .yes), ("quoted == 'say \"hi\"'", .yes), ("back == 'a\\b'", .yes), ("version == 1.2.3", .yes), ("status > 'a'", .notNumber),
        ("status < 5", .notNumber), ("total > 'abc'", .notNumber), ("total > abc", .notNumber), ("total >= true", .notNumber),
        // What is neither.
        ("paid == true", .yes), ("paid == false", .no), ("paid != false", .yes), ("paid == 'true'", .no), ("paid == 1", .no),
        ("paid > 0", .notNumber),
        ("deleted_at == null", .yes), ("deleted_at != null", .no), ("status != null", .yes), ("deleted_at == 'null'", .no), ("deleted_at == ''", .no),
        ("deleted_at > 0", .notNumber), ("tags == 'a'", .no), ("tags != 'a'", .yes), ("address == null", .no), ("tags > 1", .notNumber),
        // Fields.
        ("missing == 1", .missing), ("missing != 1", .missing), ("missing == null", .missing), ("has_field('status')", .yes),
        ("has_field('missing')", .no),
        ("has_field('deleted_at')", .yes), ("has_field ( 'status' )", .yes), ("!has_field('missing')", .yes), ("!has_field('status')", .no),
        ("data.status == 'shipped'", .yes), ("data.missing == 1", .missing), ("has_field('data.status')", .yes), ("data == 'x'", .missing),
        ("_private == 1", .yes), ("2fa == true", .yes), ("has_field('two words')", .yes), ("has_field('a.b')", .yes), ("has_field('')", .no),
        // Changes.
        ("field_changed('status')", .yes), ("field_changed('total')", .yes), ("field_changed('qty')", .no), ("field_changed('missing')", .no),
        ("field_changed_to('status', 'shipped')", .yes), ("field_changed_to('status', 'pending')", .no),
        ("field_changed_to('status','shipped')", .yes),
        ("field_changed_from('status', 'pending')", .yes), ("field_changed_from('status', 'shipped')", .no), ("field_changed_to('qty', '5')", .no),
        ("field_changed_to('total', '12.5')", .yes), ("field_changed_to('total', '12.50')", .yes), ("field_changed_from('total', '10')", .yes),
        ("field_changed_to('zip', '8000')", .yes), ("field_changed_from('zip', 'null')", .yes), ("field_changed_to('paid', 'true')", .yes),
        ("field_changed('data.status')", .yes), ("field_changed_to('data.status', 'shipped') && total > 10", .yes),
        ("!field_changed('status')", .no), ("!field_changed('qty')", .yes),
        // Together.
        ("total > 10 && status == 'shipped'", .yes), ("total > 10 && status == 'pending'", .no), ("status == 'pending' || status == 'shipped'", .yes),
        ("status == 'pending' || status == 'processing'", .no), ("(total > 10) && (status == 'shipped')", .yes),
        ("(total > 100 && status == 'shipped') || qty == 5", .yes), ("total > 100 && status == 'shipped' || qty == 5", .yes),
        ("qty == 5 || total > 100 && status == 'pending'", .yes), ("(qty == 5 || total > 100) && status == 'pending'", .no), ("!(qty == 5)", .no),
        ("!!(qty == 5)", .yes), ("! ! qty == 5", .yes), ("!qty == 6 && qty == 5", .yes), ("((((qty == 5))))", .yes), ("\tqty\n==\r5 ", .yes),
        // The first part that decides is the last that is asked.
        ("qty == 6 && missing == 1", .no), ("missing == 1 && qty == 6", .missing), ("qty == 5 || missing == 1", .yes),
        ("missing == 1 || qty == 5", .missing),
        ("qty == 5 && missing == 1", .missing), ("has_field('missing') && missing > 1", .no), ("!missing == 1", .missing),
        // Not the language.
        ("", .wrong), (" ", .wrong), ("total", .wrong), ("total >", .wrong), ("> 5", .wrong), ("total = 5", .wrong), ("total === 5", .wrong),
        ("total =! 5", .wrong),
        ("total <> 5", .wrong), ("total == 5 qty == 5", .wrong), ("total == 5 &&", .wrong), ("&& total == 5", .wrong),
        ("total == 5 & qty == 5", .wrong),
        ("total == 5 | qty == 5", .wrong), ("total == 5 and qty == 5", .wrong), ("(total == 5", .wrong), ("total == 5)", .wrong), ("()", .wrong),
        ("!", .wrong),
        ("!= 5", .wrong), ("status == \"shipped\"", .wrong), ("status == 'shipped", .wrong), ("status == in_progress", .wrong),
        ("address.city == 'x'", .wrong),
        ("data.address.city == 'x'", .wrong), ("data. == 1", .wrong), ("data.has_field('x')", .wrong), ("has_field(status)", .wrong),
        ("has_field('status'", .wrong),
        ("has_field('status',)", .wrong), ("has_field()", .wrong), ("has_field('a', 'b')", .wrong), ("field_changed_to('status')", .wrong),
        ("field_changed_from('a','b','c')", .wrong), ("in_set('a')", .wrong), ("has_field", .wrong), ("has_field == 1", .missing),
        ("@@@invalid&&&", .wrong),
        ("total == $5", .wrong), ("total == +5", .wrong), ("{{ total }} == 5", .wrong), ("total == 5;", .wrong), ("has_field('a') == true", .wrong),
    ]

    private static func tableEvent() throws -> ObservedEvent {
        let row =
            #"{"id":42,"status":"shipped","total":12.50,"big":9007199254740993,"huge":18446744073709551616,"tiny":0.000000000000000000000000000001,"negative":-1.5,"discount":0.00,"qty":5,"code":"100","phone":"0100","date":"2026-11-29","note":"","accent":"Ève","prénom":"x","quoted":"say \"hi\"","back":"a\\b","version":"1.2.3","paid":true,"deleted_at":null,"tags":["a"],"address":{"city":"x"},"_private":1,"2fa":true,"two words":1,"a.b":1,"zip":"8000"}"#
        let changes =
            #"{"status":{"old":"pending","new":"shipped"},"total":{"old":10.00,"new":12.50},"zip":{"old":null,"new":"8000"},"paid":{"old":false,"new":true}}"#
        return try EventSamples.event(
            #"{"id":"1","entity_type":"Order","operation":"UPDATE","entity_id":"42","entity":\#(row),"before":\#(row),"changes":\#(changes)}"#)
    }

    @Test func hasAtLeastAHundredCases() {
        #expect(Self.table.count >= 100)
        #expect(Set(Self.table.map(\.0)).count == Self.table.count)
    }

    @Test(arguments: table.indices)
    func answersAsFraiseQL(index: Int) throws {
        let (text, expected) = Self.table[index]
        #expect(Self.answer(text, try Self.tableEvent()) == expected, "\(text)")
    }

    @Test(arguments: [
        "field_changed('status')", "field_changed_to('status', 'shipped')", "field_changed_from('status', 'pending')", "!field_changed('x')",
    ])
    func hasNoAnswerWithoutAnOldRow(text: String) throws {
        let update = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"UPDATE","entity":{"status":"shipped","x":1}}"#)
        #expect(Self.answer(text, update) == .unknown)
        for operation in ["INSERT", "DELETE", "TRUNCATE"] {
            let other = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"\#(operation)","entity":{"status":"shipped","x":1}}"#)
            #expect(Self.answer(text, other) == (text.hasPrefix("!") ? .yes : .no))
        }
    }

    @Test func asksARowThatIsNotThere() throws {
        let event = try EventSamples.event(#"{"id":"1","entity_type":"Order","operation":"TRUNCATE"}"#)
        #expect(Self.answer("status == 'x'", event) == .missing)
        #expect(Self.answer("has_field('status')", event) == .no)
    }

    // MARK: - Limits

    @Test func takesSixtyFourLevelsAndNoMore() throws {
        func nested(_ count: Int) -> String { String(repeating: "(", count: count) + "qty == 5" + String(repeating: ")", count: count) }
        let event = try Self.tableEvent()
        #expect(Self.answer(nested(64), event) == .yes)
        #expect(Self.answer(nested(65), event) == .wrong)
        #expect(Self.answer(String(repeating: "!", count: 64) + "qty == 5", event) == .yes)
        #expect(Self.answer(String(repeating: "!", count: 65) + "qty == 5", event) == .wrong)
        #expect(Self.answer(String(repeating: "!(", count: 32) + "qty == 5" + String(repeating: ")", count: 32), event) == .yes)
        #expect(Self.answer(String(repeating: "(", count: 2_000) + "qty == 5" + String(repeating: ")", count: 2_000), event) == .wrong)
    }

    @Test func takesChainsThatAreNoLevels() throws {
        let chain = Array(repeating: "qty==5", count: 500).joined(separator: "&&")
        #expect(Self.answer(chain, try Self.tableEvent()) == .yes)
    }

    @Test func takesFourThousandAndNinetySixBytes() {
        let most = "qty == 5" + String(repeating: " ", count: 4_088)
        #expect((try? Condition(parsing: most)) != nil)
        #expect(throws: ConditionError.tooLong(byteCount: 4_097)) { try Condition(parsing: most + " ") }
    }

    @Test func takesThirtyTwoArguments() {
        func call(_ count: Int) -> String { "in_set(" + Array(repeating: "'a'", count: count).joined(separator: ",") + ")" }
        #expect(
            throws: ConditionError.syntax(
                offset: 0, "in_set is no function; allowed are has_field, field_changed, field_changed_to, field_changed_from")
        ) {
            try Condition(parsing: call(32))
        }
        #expect(throws: ConditionError.syntax(offset: 135, "a function takes at most 32 arguments")) { try Condition(parsing: call(33)) }
    }

    // MARK: - Words

    @Test(arguments: [
        ("total = 5", 6, "= is no operator; allowed are == != >= <= > <"), ("total", 5, "the end is no operator; allowed are == != >= <= > <"),
        ("status == \"x\"", 10, "\" is no value; allowed are 'a text' in single quotes, a number, true, false and null"),
        ("status == in_progress", 10, "a text that has _ stands between single quotes"), ("status == 'x", 10, "the quote is not closed"),
        ("a == 1 b", 7, "b is not expected here; allowed are &&, || and the end"),
        ("(a == 1", 7, "the end is not expected here; allowed are ), && and ||"),
        ("é == 1 & b == 1", 8, "a single & is not expected here; write &&"),
        (
            "hasfield('a')", 0,
            "hasfield is no function; allowed are has_field, field_changed, field_changed_to, field_changed_from; did you mean has_field?"
        ),
        ("field_changed_to('a')", 0, "field_changed_to takes 2 arguments, not 1"),
        ("has_field(a)", 10, "a is no argument; an argument stands in single quotes"),
        ("a.b == 1", 1, "a field of a field cannot be asked for; write the name of a column, alone or behind data."),
        ("a == 1 && \u{7}", 10, "U+7 is not expected here; allowed are a field, a function, ! and ("),
        ("", 0, "the condition is empty; write one, or leave the key out for every event"),
    ])
    func saysWhereAndWhatIsAllowed(text: String, offset: Int, what: String) {
        #expect(throws: ConditionError.syntax(offset: offset, what)) { try Condition(parsing: text) }
    }

    @Test(arguments: [
        ("status == shipped", ["offset 10: shipped is neither a number nor true, false or null, and is taken as a text; write 'shipped'"]),
        ("total > 'x'", ["offset 8: > compares numbers, and '…' is a text: the comparison is an error for every event"]),
        ("total > true", ["offset 8: > compares numbers, and true is no number: the comparison is an error for every event"]),
        ("status == 'shipped' && total > 5", []),
    ])
    func warns(text: String, warnings: [String]) throws {
        #expect(try Condition(parsing: text).warnings == warnings)
    }

    @Test func tellsWhatToDo() {
        #expect(
            ConditionError.missingField("status").description
                == "the row has no field status. Correct the name. Where a row may lack the field, as a deleted row lacks all outside its replica identity, "
                + "ask has_field('status') first: has_field('status') && …")
    }

    /// A large value that an UPDATE did not touch.
    @Test func tellsWhatWasNotSent() throws {
        let event = try EventSamples.event(
            #"{"id":"1","entity_type":"Order","operation":"UPDATE","entity":{"id":1},"unchanged":["other","document"]}"#)
        #expect(throws: ConditionError.unsentField("document")) { try Condition(parsing: "document == 'x'").evaluate(event) }
        #expect(throws: ConditionError.missingField("documents")) { try Condition(parsing: "documents == 'x'").evaluate(event) }
        #expect(try !Condition(parsing: "has_field('document')").evaluate(event))
    }

    // MARK: - Numbers

    @Test(arguments: [
        ("0", "-0", 0), ("0.0", "0e9", 0), ("1", "1.0", 0), ("10", "1e1", 0), ("0.1", "1e-1", 0), ("100", "99.999", 1), ("-100", "-99.999", -1),
        ("2", "10", -1),
        ("-2", "-10", 1), ("0", "-1", 1), ("0", "0.0001", -1), ("1e100", "9e99", 1), ("1e999999999999999999999", "1e400", 1),
        ("1e-999999999999999999999", "0", 1),
        ("123456789012345678901234567890.1", "123456789012345678901234567890.2", -1), ("1.10", "1.1", 0), ("12", "1.2e1", 0),
        ("0.00012", "1.2E-4", 0),
    ])
    func comparesExactly(left: String, right: String, order: Int) throws {
        let left = try #require(ExactNumber(left.utf8))
        let right = try #require(ExactNumber(right.utf8))
        #expect((left == right) == (order == 0))
        #expect((left < right) == (order < 0))
        #expect((right < left) == (order > 0))
    }

    @Test(arguments: ["", "-", "01", "1.", ".1", "1e", "1e+", "+1", "1x", "NaN", "0x1", "1 ", "--1", "1.2.3", "1e1.5"])
    func refusesWhatIsNoNumber(text: String) {
        #expect(ExactNumber(text.utf8) == nil)
    }

    /// Swift's integers as the judge.
    @Test func comparesAsIntegersDo() {
        var random = SplitMix64(seed: 20_261_129)
        for _ in 0..<2_000 {
            let left = Int64.random(in: -2_000...2_000, using: &random)
            let right = Int64.random(in: -2_000...2_000, using: &random)
            let shift = Int.random(in: 0...6, using: &random)
            // The same number with its point elsewhere.
            let moved = "\(left)" + String(repeating: "0", count: shift) + "e-\(shift)"
            #expect(ExactNumber(moved.utf8).map { number in ExactNumber("\(right)".utf8).map { number < $0 } } == (left < right))
        }
    }
}
