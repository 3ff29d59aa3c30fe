import Capture
import Testing

@testable import Observing

@Suite struct DatabaseObserverRowTests {
    private static let log = #"[{"type":"log","message_template":"x"}]"#

    private static func read(_ row: DatabaseObserverRow, hasMailServer: Bool = true) -> DatabaseObserverRow.Reading {
        row.read(environment: Definitions.environment, livePrefix: "fraiseql.mutation", hasMailServer: hasMailServer)
    }

    @Test func readsARow() throws {
        var row = DatabaseObserverRow(name: "big orders", actions: [Self.log])
        row.description = "…"
        row.entityType = "Order"
        row.eventType = "UPDATE"
        row.conditionExpression = "total > 1000"
        row.priority = 7
        row.timeoutMilliseconds = 1_000
        row.isEnabled = false
        row.retryConfig = #"{"max_attempts": 4, "initial_delay_ms": 1000, "max_delay_ms": 2000, "backoff_strategy": "fixed"}"#
        let reading = Self.read(row)
        #expect(reading.mistakes == [])
        #expect(reading.notes == [])
        let observer = try #require(reading.definition)
        #expect(observer.origin == .database)
        #expect(observer.name == "big orders")
        #expect(observer.entity == "Order")
        #expect(observer.eventType == .update)
        #expect(observer.condition?.text == "total > 1000")
        #expect(observer.priority == 7)
        #expect(observer.actionTimeout == .seconds(1))
        #expect(!observer.isEnabled)
        #expect(observer.onFailure == .dlq)
        #expect(observer.retry.maxAttempts == 4)
        #expect(observer.retry.strategy == .fixed)
    }

    /// The column's comment says all events; its server has INSERT.
    @Test func takesNoEventTypeForInsert() throws {
        let reading = Self.read(DatabaseObserverRow(name: "a", actions: [Self.log]))
        #expect(reading.definition?.eventType == .insert)
        #expect(reading.definition?.entity == nil)
        #expect(reading.notes.count == 1)
        #expect(reading.notes.first?.hasPrefix("tb_observer.a: event_type is NULL, which FraiseQL's server takes for INSERT") == true)
    }

    /// The column's own default has a key that FraiseQL's parser refuses.
    @Test func takesTheColumnsDefault() throws {
        var row = DatabaseObserverRow(name: "a", actions: [Self.log])
        row.eventType = "INSERT"
        row.retryConfig = #"{"max_attempts": 3, "backoff": "linear", "initial_delay_ms": 1000}"#
        let retry = try #require(Self.read(row).definition?.retry)
        #expect(retry.strategy == .linear)
        #expect(retry.initialDelay == .seconds(1))
        row.retryConfig = #"{"backoff": "linear", "backoff_strategy": "fixed"}"#
        #expect(Self.read(row).definition?.retry.strategy == .fixed)
    }

    /// One array, or each by itself.
    @Test func takesActionsInBothShapes() throws {
        var row = DatabaseObserverRow(
            name: "a", actions: [#"[{"type":"log","message_template":"x"},{"type":"webhook","url":"https://x","headers":null,"method":"POST"}]"#])
        #expect(Self.read(row).definition?.actions.map(\.typeName) == ["log", "webhook"])
        row.actions = [
            #"{"type":"log","message_template":"x"}"#, #"{"type":"slack","webhook_url":"https://x","channel":null,"message_template":"y"}"#,
        ]
        #expect(Self.read(row).definition?.actions.map(\.typeName) == ["log", "slack"])
        // What its API stores for a mail.
        row.actions = [#"[{"type":"email","to":"a@b","cc":null,"subject_template":"s","body_template":"b"}]"#]
        #expect(Self.read(row).mistakes == [])
    }

    @Test func notesARowThatDoesNothing() throws {
        var row = DatabaseObserverRow(name: "a", actions: ["[]"])
        row.eventType = "INSERT"
        let reading = Self.read(row)
        #expect(reading.definition?.actions.isEmpty == true)
        #expect(reading.notes == ["tb_observer.a.actions: has no actions: the observer does nothing"])
    }

    @Test func tellsMistakes() throws {
        var row = DatabaseObserverRow(
            name: "a b", actions: ["{", #"[{"type":"sms"},{"type":"email","to":"a@b","subject":"s","body_template":"b"}]"#, "7"])
        row.eventType = "X"
        row.conditionExpression = "x"
        row.retryConfig = "nonsense"
        row.priority = -1
        row.timeoutMilliseconds = 0
        let reading = Self.read(row, hasMailServer: false)
        #expect(reading.definition == nil)
        #expect(
            reading.mistakes.map(\.path) == [
                #"tb_observer."a b".retry"#, #"tb_observer."a b".actions[0]"#, #"tb_observer."a b".actions[0].type"#,
                #"tb_observer."a b".actions[1]"#,
                #"tb_observer."a b".actions[2]"#, #"tb_observer."a b".event_type"#, #"tb_observer."a b".condition"#, #"tb_observer."a b".priority"#,
                #"tb_observer."a b".timeout_ms"#,
            ])
    }

    @Test func refusesWhatIsNestedTooDeeply() throws {
        let deep = String(repeating: "[", count: 5_000) + String(repeating: "]", count: 5_000)
        let row = DatabaseObserverRow(name: "a", actions: [#"[{"type":"database","function_name":"f","params":\#(deep)}]"#])
        #expect(
            Self.read(row).mistakes.map(\.description) == [
                "tb_observer.a.actions[0].params: holds a value that JSON has nothing for, or is nested too deeply"
            ])
        #expect(Self.read(DatabaseObserverRow(name: "a", actions: [deep])).definition == nil)
    }

    @Test func keepsNumbersOfParameters() throws {
        let row = DatabaseObserverRow(
            name: "a", actions: [#"[{"type":"database","function_name":"f","params":{"a":12.50,"b":18446744073709551616,"c":-0}}]"#])
        guard case .database(let action)? = Self.read(row).definition?.actions.first else {
            Issue.record("another action")
            return
        }
        #expect(action.params.map { String(decoding: $0.text, as: UTF8.self) } == #"{"a":12.50,"b":18446744073709551616,"c":0}"#)
    }
}
