import ArgumentParser
import Console
import Glibc
import History
import JetStreamPublishing
import ObserverWork
import Operations
import Settings

struct DeadCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dead", abstract: "Look after events whose actions failed for good.",
        discussion: """
            Each dead letter has a number: its place in the stream of dead letters.

            Example:
              slotstream-observer dead list
            """,
        subcommands: [DeadListCommand.self, DeadShowCommand.self, DeadRetryCommand.self, DeadDropCommand.self])
}

/// Which dead letters a command is about.
struct DeadSelection: ParsableArguments {
    @Argument(help: "Numbers of dead letters, as `list` shows them.")
    var numbers: [UInt64] = []

    @Flag(name: .customLong("all"), help: "All that the filters leave.")
    var isAll = false

    @OptionGroup var filter: DeadFilter

    @Flag(name: .customLong("yes"), help: "Do not ask.")
    var isSure = false

    @Flag(name: .customLong("json"), help: "One JSON object.")
    var isJSON = false

    func validate() throws {
        if numbers.contains(0) { throw ValidationError("numbers of dead letters begin with 1") }
        if numbers.isEmpty == !isAll { throw ValidationError("give numbers of dead letters, or --all") }
        if !numbers.isEmpty, !filter.isEmpty { throw ValidationError("filters go with --all, not with numbers") }
    }

    /// The letters; those that are not there are told.
    func letters(in box: DeadLetterBox) throws -> [DeadLetterBox.Stored] {
        if isAll { return try filter.letters(in: box) }
        var letters: [DeadLetterBox.Stored] = []
        for number in numbers {
            guard let letter = try box.letter(number) else {
                throw InputError(message: "there is no dead letter \(number). To see all, type: slotstream-observer dead list")
            }
            letters.append(letter)
        }
        return letters
    }

    /// Asks on a terminal.
    func confirm(_ what: String) throws {
        guard !isSure else { return }
        guard isatty(STDIN_FILENO) == 1 else { throw InputError(message: "\(what) needs a yes: add --yes") }
        Output.error("\(what)? [y/N] ")
        let answer = readLine() ?? ""
        guard ["y", "yes"].contains(answer.lowercased()) else { throw InputError(message: "nothing was done") }
    }
}

/// Which of all dead letters.
struct DeadFilter: ParsableArguments {
    @Option(help: "Only of this observer.")
    var observer: String?

    @Option(help: "Only of this reason: permanent, attempts_exhausted, max_deliver or unreadable.")
    var reason: DeadLetter.Reason?

    var isEmpty: Bool { observer == nil && reason == nil }

    func letters(in box: DeadLetterBox) throws -> [DeadLetterBox.Stored] {
        var letters: [DeadLetterBox.Stored] = []
        try box.forEach { stored in
            let letter = stored.letter
            let isWanted = (observer == nil || letter?.observer == observer) && (reason == nil || letter?.reason == reason)
            if isWanted { letters.append(stored) }
            return true
        }
        return letters
    }
}

extension DeadLetter.Reason: ExpressibleByArgument {}

struct DeadListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "List the dead letters, the oldest first.",
        usage: "slotstream-observer dead list [<options>]",
        discussion: """
            Example:
              slotstream-observer dead list
              slotstream-observer dead list --reason permanent --json
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var filter: DeadFilter

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.dead_letters/1).")
    var isJSON = false

    func run() throws {
        let box = try WorkerCommands.connected(try options.worker())
        defer { box.connection.close() }
        let letters = try filter.letters(in: box)
        if isJSON { return Output.data(ContractJSON.text(DeadListing(letters))) }
        guard !letters.isEmpty else { return Output.data("there are no dead letters") }
        let rows = letters.map { stored in
            guard let letter = stored.letter else { return ["\(stored.number)", "", "", "", "", "", "no dead letter of a worker's"] }
            return [
                "\(stored.number)", letter.lastAt.map { String(ShownText.line($0).prefix(19)) } ?? "", ShownText.line(letter.subject),
                ShownText.line(letter.observer ?? ""), letter.reason.rawValue, "\(letter.attempts)", ShownText.line(letter.error),
            ]
        }
        Output.data(Screen.ofOutput().table([["NUMBER", "LAST ATTEMPT", "SUBJECT", "OBSERVER", "REASON", "ATTEMPTS", "ERROR"]] + rows, droppable: [1, 5, 6, 3]))
        Output.error("to see one, with its event: slotstream-observer dead show NUMBER\n")
    }
}

struct DeadShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show one dead letter, with its event.",
        usage: "slotstream-observer dead show <number> [<options>]",
        discussion: """
            Example:
              slotstream-observer dead show 12
              slotstream-observer dead show 12 --json | jq .event
            """)

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: "The number of the dead letter, as `list` shows the number.")
    var number: UInt64

    @Flag(name: .customLong("json"), help: "The dead letter as stored (schema slotstream.dead_letter/1).")
    var isJSON = false

    func validate() throws {
        if number == 0 { throw ValidationError("numbers of dead letters begin with 1") }
    }

    func run() throws {
        let box = try WorkerCommands.connected(try options.worker())
        defer { box.connection.close() }
        guard let stored = try box.letter(number) else {
            throw InputError(message: "there is no dead letter \(number). To see all, type: slotstream-observer dead list")
        }
        guard let letter = stored.letter else {
            throw InputError(message: "message \(number) is no dead letter of a worker's. To remove the message, type: slotstream-observer dead drop \(number)")
        }
        if isJSON { return Output.data(String(decoding: letter.json(), as: UTF8.self)) }
        var rows: [(String, String)] = [
            ("number", "\(stored.number)"), ("event", letter.eventID), ("subject", letter.subject),
            ("stream", "\(letter.stream), sequence \(letter.sequence)"), ("consumer", letter.consumer), ("reason", letter.reason.rawValue),
        ]
        if let observer = letter.observer { rows.append(("observer", observer)) }
        if let action = letter.action { rows.append(("action", "\(action.index + 1), \(action.type)")) }
        rows.append(("attempts", "\(letter.attempts), in delivery \(letter.deliveries)"))
        if let first = letter.firstAt { rows.append(("first", first)) }
        if let last = letter.lastAt { rows.append(("last", last)) }
        rows.append(("error", letter.error))
        let body = letter.payload.map { String(decoding: $0, as: UTF8.self) }
        rows.append(
            (
                "event body",
                body ?? (letter.isEventOmitted ? "too large for a dead letter: see the stream" : "the stream did not hold the event any more")
            ))
        rows.append(("next", "slotstream-observer dead retry \(stored.number)"))
        let screen = Screen.ofOutput()
        Output.data(rows.map { screen.wrapped("\(Screen.padded($0.0, to: 12))\(ShownText.line($0.1))", indent: 12) }.joined(separator: "\n"))
    }
}

struct DeadRetryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Do the actions of dead letters again.",
        usage: "slotstream-observer dead retry (<number> ... | --all) [<options>]",
        discussion: """
            Does the actions of the observer from the failed one on, each with its own attempts, and removes the dead letter when all are \
            done. The file of this command must have the observer and its secrets. Later events of the same entity may have been handled \
            long ago: the order is not kept. Receivers see the same Idempotency-Key as before. Exits with 1 when a dead letter stays.

            Example:
              slotstream-observer dead retry 12
              slotstream-observer dead retry --all --observer paid --yes
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var selection: DeadSelection

    func run() throws {
        let effective = try options.loadWithObservers()
        let worker = try WorkerConfiguration.read(effective, environment: ConfigurationOptions.environment).configuration
        let box = try WorkerCommands.connected(worker)
        defer { box.connection.close() }
        let letters = try selection.letters(in: box)
        guard !letters.isEmpty else { return Output.data(selection.isJSON ? ContractJSON.text(DeadResults([])) : "there are no such dead letters") }
        try selection.confirm("do the actions of \(letters.count) dead letters again")
        let logger = StderrLogHandler.makeLogger(effective.values.log, counting: .observerWorker())
        let retry = DeadLetterRetry(worker, try WorkerCommands.observers(worker).definitions, over: box, logger: logger)
        let progress = ProgressLine("retry")
        var results: [DeadResults.Result] = []
        for (index, letter) in letters.enumerated() {
            switch try retry.retry(letter, in: box) {
            case .done(let count):
                results.append(DeadResults.Result(number: letter.number, eventId: letter.letter?.eventID ?? "", isDone: true, actions: count, error: nil))
            case .stays(let why):
                results.append(DeadResults.Result(number: letter.number, eventId: letter.letter?.eventID ?? "", isDone: false, actions: nil, error: why))
            }
            progress.update(count: UInt64(index + 1), fraction: Double(index + 1) / Double(letters.count))
        }
        progress.end()
        if selection.isJSON {
            Output.data(ContractJSON.text(DeadResults(results)))
        } else {
            for result in results {
                Output.data("\(result.number): " + (result.error.map { "stays: \(ShownText.line($0))" } ?? "done"))
            }
        }
        if results.contains(where: { !$0.isDone }) { throw ExitCode(ExitStatus.findings.rawValue) }
    }
}

struct DeadDropCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drop", abstract: "Remove dead letters: their actions are never done.",
        usage: "slotstream-observer dead drop (<number> ... | --all) [<options>]",
        discussion: """
            The event itself stays in its stream for as long as the stream keeps events.

            Example:
              slotstream-observer dead drop 12 13
              slotstream-observer dead drop --all --reason unreadable --yes
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var selection: DeadSelection

    func run() throws {
        let box = try WorkerCommands.connected(try options.worker())
        defer { box.connection.close() }
        let letters = try selection.letters(in: box)
        guard !letters.isEmpty else { return Output.data(selection.isJSON ? ContractJSON.text(DeadResults([])) : "there are no such dead letters") }
        try selection.confirm("remove \(letters.count) dead letters, whose actions are then never done")
        for letter in letters { try box.remove(letter.number) }
        if selection.isJSON {
            let results = letters.map { DeadResults.Result(number: $0.number, eventId: $0.letter?.eventID ?? "", isDone: true, actions: nil, error: nil) }
            Output.data(ContractJSON.text(DeadResults(results)))
        } else {
            Output.data("removed: \(letters.count)")
        }
    }
}
