import Capture
import Foundation
import History
import JetStreamPublishing
import ObserverWork
import PostgresReplication
import Synchronization
import Threads
import WAL

@testable import Operations
@testable import Pipeline
@testable import Settings

/// The tables of the pages that are the code's own: configuration keys, exit codes, reasons, metrics.
///
/// They stand between `<!-- generated: NAME. … -->` and `<!-- end of NAME -->`.
enum ReferenceTables {
    /// A page names a table that is none of these.
    struct UnknownTable: Error { var name: String }

    /// Each table's text, by its name.
    static let all: [String: @Sendable () -> String] = [
        "configuration keys": configurationKeys, "FraiseQL variables": fraiseQLVariables, "exit codes": exitCodes,
        "reasons": reasons, "remedies": remedies, "metrics": metrics, "findings": findings,
    ]

    private static var section: Regex<(Substring, Substring, Substring)> {
        /(<!-- generated: ([^.]+)\.[^\n]*-->\n)[\s\S]*?(?=<!-- end of)/
    }

    /// The names of the tables of a page.
    static func names(in page: String) -> [String] { page.matches(of: section).map { String($0.output.2) } }

    /// The page with each of its tables as the code has it.
    static func renewed(_ page: String) throws -> String {
        try page.replacing(section) { match in
            let name = String(match.output.2)
            guard let table = all[name] else { throw UnknownTable(name: name) }
            return "\(match.output.1)\n\(table())\n\n"
        }
    }

    /// A table of every group of keys.
    @Sendable private static func configurationKeys() -> String {
        var groups: [(name: Substring, keys: [ConfigurationKey])] = []
        for key in ConfigurationKey.all {
            let group = key.path[..<(key.path.lastIndex(of: ".") ?? key.path.startIndex)]
            if groups.last?.name != group { groups.append((group, [])) }
            groups[groups.count - 1].keys.append(key)
        }
        return groups.map { group in
            "### `[\(group.name)]`\n\n"
                + table(
                    ["key", "default", "allowed", "meaning"],
                    group.keys.map { key in
                        [code(key.path), code(key.show(Configuration()).toml), escaped(key.allowed), escaped(key.meaning)]
                    })
        }.joined(separator: "\n\n")
    }

    @Sendable private static func fraiseQLVariables() -> String {
        table(
            ["variable", "key", "default"],
            ConfigurationKey.all.compactMap { key in
                guard key.variables.count > 1 else { return nil }
                return [code(key.variables[1]), code(key.path), code(key.show(Configuration()).toml)]
            })
    }

    @Sendable private static func exitCodes() -> String {
        table(
            ["exit code", "name", "meaning", "does a restart of `run` help?"],
            ExitStatus.allCases.map { status in
                ["\(status.rawValue)", status.name, escaped(status.meaning), status.isMendedByRestart ? "yes" : status == .done ? "" : "no"]
            })
    }

    /// Every reason, by its exit code.
    private static let ordered = StopReason.allCases.sorted { ($0.exitCode.rawValue, $0.rawValue) < ($1.exitCode.rawValue, $1.rawValue) }

    @Sendable private static func reasons() -> String {
        table(
            ["reason", "exit code", "what happened"],
            ordered.map { ["[\(code($0.rawValue))](#\($0.rawValue))", "\($0.exitCode.rawValue)", escaped($0.meaning)] })
    }

    @Sendable private static func remedies() -> String {
        ordered.map { reason in
            let texts = reason.remedies.map { Steps.lines(of: $0) }
            let steps =
                texts.count == 1
                ? texts[0].map { escaped($0) }.joined(separator: "\n")
                : "One of these, as the error says:\n\n" + texts.map(item).joined(separator: "\n")
            return "### \(reason.rawValue)\n\nExit code \(reason.exitCode.rawValue). \(escaped(reason.meaning))\n\n"
                + steps.replacing(/^([^0-9\n][^\n]*)\n(?=[0-9])/.anchorsMatchLineEndings()) { "\($0.output.1):\n\n" }
        }.joined(separator: "\n\n")
    }

    /// Steps as an item of a list.
    private static func item(_ lines: [String]) -> String {
        "- " + lines.map { escaped($0) }.joined(separator: "\n  ")
    }

    /// Every finding of `check`, by its number.
    @Sendable private static func findings() -> String {
        table(
            ["id", "severity", "part", "what is found", "why"],
            FindingID.allCases.sorted { $0.rawValue.dropFirst() < $1.rawValue.dropFirst() }.map { id in
                ["`\(id.rawValue)`", id.severity.rawValue, id.section.rawValue, escaped(id.title), escaped(id.meaning)]
            })
    }

    /// Every metric that a streamer exports, as a scrape of one shows it.
    @Sendable private static func metrics() -> String {
        let registry = PrometheusRegistry.slotstream()
        let observations = Observations(slot: "…", stream: "…", readyMaxLagBytes: 0, metrics: registry)
        observations.recorded(at: .now)
        observations.texts.withLock { texts in
            texts.database = "…"
            texts.systemID = "…"
            texts.streamFacts = streamFacts
            texts.backfill = StreamerStatus.Backfill(run: 1, state: "walking", tables: [], rows: 0, fraction: 0)
            texts.lastStop = LastStop(
                slot: "…", reason: .slotMissing, at: PostgresTimestamp.now.description, message: "", remedy: "", eventsPerSecond: nil, version: "")
        }
        observations.refreshMetrics()
        _ = observations.meters.events(of: EventKind(entity: "…", operation: "…"))
        var help: [Substring: Substring] = [:]
        var rows: [[String]] = []
        var values: [String: [String: Set<String>]] = [:]
        for line in registry.render().split(separator: "\n") {
            if let match = line.wholeMatch(of: /# HELP (\S+) (.*)/) { help[match.output.1] = match.output.2 }
            if let match = line.wholeMatch(of: /# TYPE (\S+) (\S+)/) {
                rows.append([String(match.output.1), String(match.output.2)])
            }
            guard let match = line.wholeMatch(of: /([a-z_]+)\{(.*)\} \S+/), let name = rows.last?[0] else { continue }
            for label in match.output.2.matches(of: /([a-z_]+)="([^"]*)"/) {
                values[name, default: [:]][String(label.output.1), default: []].insert(String(label.output.2))
            }
        }
        return table(
            ["metric", "kind", "labels", "meaning"],
            rows.map { row in
                let labels = (values[row[0]] ?? [:]).filter { $0.key != "le" }.sorted { $0.key < $1.key }.map { label, values in
                    // The one name stands for whatever there is.
                    let isOpen = label == "version" || row[0] == "slotstream_last_stop_timestamp_seconds" || values == ["…"]
                    return code(label) + (isOpen ? "" : ": " + values.sorted().map { code($0) }.joined(separator: " "))
                }
                return [code(row[0]), row[1], labels.joined(separator: ", "), escaped(String(help[Substring(row[0])] ?? ""))]
            })
    }

    /// A stream with a consumer and each kind of marker.
    private static var streamFacts: StreamFacts? {
        func read<Answer: Decodable>(_ json: String) -> Answer? { try? JSONDecoder().decode(Answer.self, from: Data(json.utf8)) }
        let state = #""state":{"messages":1,"bytes":1,"first_seq":1,"last_seq":1}"#
        guard let info: StreamInfo = read(#"{"config":{"name":"…"},"created":"",\#(state)}"#),
            let consumer: ConsumerInfo = read(#"{"name":"…","config":{"durable_name":"…"},"delivered":{},"ack_floor":{}}"#)
        else { return nil }
        var facts = StreamFacts(info, at: .now)
        facts.consumers = [ConsumerStanding(consumer, oldestUnread: nil, StreamRetention(info, now: .now))]
        facts.consumerCount = 1
        facts.markerCounts = Dictionary(uniqueKeysWithValues: ReservedEntity.operations.map { ($0, 0) })
        return facts
    }

    private static func table(_ head: [String], _ rows: [[String]]) -> String {
        ([head, head.map { _ in "---" }] + rows).map { "| " + $0.joined(separator: " | ") + " |" }.joined(separator: "\n")
    }

    private static func code(_ text: String) -> String { "`" + text.replacing("|", with: "\\|") + "`" }

    /// A text in which Markdown sees nothing but code between backticks. An underscore inside a word is none of Markdown's.
    private static func escaped(_ text: String) -> String {
        var isCode = false
        var previous: Character = " "
        return text.map { character in
            if character == "`" { isCode.toggle() }
            let isMarkup = "|*<\\".contains(character) || character == "_" && !previous.isLetter
            previous = character
            return !isCode && isMarkup ? "\\\(character)" : String(character)
        }.joined()
    }
}

extension StopReason {
    /// What the operator is told to do: one text, or those of the errors that stop for this reason.
    fileprivate var remedies: [String] {
        switch self {
        case .slotAhead, .slotUnconfirmed, .otherCluster, .streamMissing, .streamRecreated, .streamPurged, .streamTailLost,
            .positionAheadOfWAL:
            [LostHistory.remedy(for: self)]
        case .slotMissing: [LostHistory.remedy(for: self), LostHistory.remedyForEmptiedStream]
        case .slotInvalidated: [LostHistory.remedy(for: self), LostHistory.remedyForRemovedWAL]
        case .historyDiverged: [LostHistory.remedy(for: self), LostHistory.remedyIfForged(self)]
        case .bucketMissing:
            [LostHistory.remedy(for: self), LostHistory.remedyForMissingRecord(adoptedBy: "slotstream setup --adopt-slot")]
        case .publicationLost: [SlotObstacle(.publicationMissing, SlotProgress(startLSN: .invalid)).remedy]
        case .consumerMissing: [WorkerSetup.remedyForLostConsumer(acknowledged: 4711), WorkerSetup.remedyForLostConsumer(acknowledged: nil)]
        case .slotTwoPhase: [LostHistory.remedyForTwoPhase(isFirstStart: false)]
        case .optionsChanged: [LostHistory.remedyForChangedOptions]
        case .otherWriter: [LostHistory.remedyForOtherWriter]
        case .foreignMessage: [LostHistory.remedyForForeignMessages]
        case .holeFound: [StreamHole.remedy]
        case .unreachable:
            [StreamerError.postgres(.connectionFailed(message: "", sqlState: nil)), .jetStream(.notConnected(""))]
                .map(\.oneShotOutcome.remedy)
        case .slotActive: [StreamerError.slotActive(nil).oneShotOutcome.remedy]
        case .poisonEvent:
            ofErrors
                + ["22P05", "54000"].map {
                    SlotObstacle(.undecodable(sqlState: $0, message: ""), SlotProgress(startLSN: .invalid)).remedy
                }
        case .permissionPostgres, .permissionNATS, .tls, .credentials, .configuration, .unexpected: ofErrors
        }
    }

    /// Of every error that can be made here, without repetition.
    private var ofErrors: [String] {
        var remedies: [String] = []
        for error in RemedyTests.errors {
            guard case .stop(self, let remedy) = FailurePolicy.verdict(on: error), !remedies.contains(remedy) else { continue }
            remedies.append(remedy)
        }
        return remedies
    }
}
