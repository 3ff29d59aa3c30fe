import ArgumentParser
import Console
import Glibc
import History
import Pipeline
import Settings

struct BackfillCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backfill", abstract: "Read rows that are there already into the stream.",
        usage: "slotstream backfill --table <pattern> [<options>]",
        discussion: """
            The running streamer reads the rows of published tables, and publishes each row as an event with the operation READ \
            between the live events. A consumer that applies the events in the order of the stream ends with the table. The live \
            events go on. The command only asks for a run, and can be used from any machine that reaches both servers. Runs are \
            carried out one after another, and go on after a crash or a restart of the streamer.

            The command refuses tables that cannot be read, and a stream that would remove events that a consumer has not read, or \
            rows of the run itself. --dry-run exits with 1 when there is something to read.

            --pause, --resume, --cancel and --wait take the number of a run. Without a number, they mean the only run that is not \
            over.

            Example:
              slotstream backfill --table 'public.tb_*' --dry-run
              slotstream backfill --table public.tb_order --rate 20000 --wait
              slotstream backfill --table public.tb_order --where "status = 'open'"
              slotstream backfill --pause 3
              slotstream backfill --list
            """)

    @OptionGroup var options: ConfigurationOptions

    @Argument(help: "The number of a run, with --pause, --resume, --cancel or --wait.")
    var run: UInt64?

    @Option(name: .customLong("table"), help: ArgumentHelp("Read these published tables: schema.table, with * and ?. Repeat the option for more.", valueName: "pattern"))
    var tables: [String] = []

    @Option(name: .customLong("where"), help: ArgumentHelp("Only rows for which this condition is true; times without a zone are UTC.", valueName: "sql"))
    var condition: String?

    @Option(help: ArgumentHelp("The operation of the events: READ, or INSERT for consumers that do not know READ.", valueName: "operation"))
    var operation = "READ"

    @Option(name: .customLong("into-stream"), help: ArgumentHelp("Send the rows to this stream, not to the live stream.", valueName: "name"))
    var intoStream: String?

    @Option(name: .customLong("into-prefix"), help: ArgumentHelp("Replace the prefix of the subjects by this one.", valueName: "prefix"))
    var intoPrefix: String?

    @Option(help: ArgumentHelp("At most so many rows a second; 0 for no limit.", valueName: "rows"))
    var rate: Int?

    @Option(
        name: .customLong("max-lag"),
        help: ArgumentHelp("Rest while the live stream is behind by more WAL, such as 256MiB; 0 for no limit.", valueName: "size"))
    var maxLag: String?

    @Option(name: .customLong("by"), help: "Your name; the request holds the name. Without the option: your login.")
    var requestedBy: String?

    @Flag(name: .customLong("dry-run"), help: "Show the tables, their size and the time, ask for nothing.")
    var isDryRun = false

    @Flag(name: .customLong("force"), help: "Begin although the stream has no room.")
    var isForced = false

    @Flag(name: .customLong("wait"), help: "Wait until the run is over. Exits with 1 when the run is cancelled, cannot go on, or has not read a table to the end.")
    var isWaiting = false

    @Flag(name: .customLong("pause"), help: "Let a run rest.")
    var isPausing = false

    @Flag(name: .customLong("resume"), help: "Let a run go on that rests, or that could not go on.")
    var isResuming = false

    @Flag(name: .customLong("cancel"), help: "Give up a run. Published events stay in the stream.")
    var isCancelling = false

    @Flag(name: .customLong("list"), help: "Show the runs.")
    var isListing = false

    @Flag(name: .customLong("json"), help: "One JSON object (schema slotstream.backfill/1).")
    var isJSON = false

    /// What is wanted of a run that is there; nil: nothing.
    private var wish: BackfillRequest.Wish? { isPausing ? .pause : isResuming ? .run : isCancelling ? .cancel : nil }

    private var maxLagBytes: Int? { maxLag.flatMap(ByteCountNotation.parse) }

    func validate() throws {
        let actions = [!tables.isEmpty, isPausing, isResuming, isCancelling, isListing].count { $0 }
        if actions > 1 { throw ValidationError("Use one of --table, --pause, --resume, --cancel and --list at a time") }
        if actions == 0, !isWaiting {
            throw ValidationError("Name the tables: --table public.tb_order. To see the runs, use --list")
        }
        if run != nil, !tables.isEmpty || isListing {
            throw ValidationError("The number of a run goes with --pause, --resume, --cancel or --wait")
        }
        if isListing || isDryRun, isWaiting { throw ValidationError("--wait goes with a run, not with --list or --dry-run") }
        if tables.isEmpty, let option = ofTables { throw ValidationError("\(option) goes with --table") }
        for table in tables where table != "*" && table.split(separator: ".", maxSplits: 1).count != 2 {
            throw ValidationError("--table takes schema.table, such as public.tb_order or 'public.tb_*', not \"\(table)\"")
        }
        if let condition, condition.allSatisfy(\.isWhitespace) { throw ValidationError("--where takes a condition, such as \"status = 'open'\"") }
        if !BackfillRequest.operations.contains(operation) {
            throw ValidationError("--operation takes \(BackfillRequest.operations.joined(separator: " or ")), not \"\(operation)\"")
        }
        if let rate, rate < 0 { throw ValidationError("--rate takes a number from 0 on") }
        if let maxLag, maxLagBytes == nil { throw ValidationError("--max-lag takes a size, such as 256MiB, not \"\(maxLag)\"") }
    }

    /// The first option that says something of tables that are to be read.
    private var ofTables: String? {
        let given = [
            ("--where", condition != nil), ("--into-stream", intoStream != nil), ("--into-prefix", intoPrefix != nil), ("--rate", rate != nil),
            ("--max-lag", maxLag != nil), ("--dry-run", isDryRun), ("--force", isForced), ("--operation", operation != "READ"),
        ]
        return given.first { $0.1 }?.0
    }

    func run() async throws {
        let configuration = try options.load().values.streamer
        if isListing { return show(try BackfillDesk.read(configuration).runs, isList: true) }
        if !tables.isEmpty { return try ask(configuration) }
        if let wish {
            let wanted = try BackfillDesk.want(wish, of: run, configuration)
            return try isWaiting ? wait(for: wanted.run, configuration) : show([wanted])
        }
        try wait(for: try BackfillDesk.openRun(run, in: BackfillDesk.read(configuration).runs, isOverAllowed: true).run, configuration)
    }

    // MARK: - Asking

    private func ask(_ configuration: StreamerConfiguration) throws {
        var wanted = BackfillPlan.Wanted(tables: tables)
        wanted.condition = condition
        wanted.operation = operation
        wanted.rate = rate
        wanted.maxLagBytes = maxLagBytes.map { UInt64($0) }
        wanted.intoStream = intoStream
        wanted.intoPrefix = intoPrefix
        wanted.isForced = isForced
        let plan = try BackfillPlan.make(wanted, configuration)
        guard !isDryRun else {
            Output.data(isJSON ? BackfillListing(plan).json() : BackfillListing.text(plan, on: .ofOutput()))
            try plan.requireCarriedOut(wanted)
            Output.error("nothing was asked for. Leave out --dry-run to begin\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
        let run = try plan.put(wanted, by: requestedBy ?? Self.login, configuration)
        if let refusal = plan.room.refusal { Output.error("warning: \(refusal)\n") }
        guard isWaiting else {
            if isJSON { return show([run]) }
            Output.data("run \(run.run): \(BackfillListing.summary(plan))")
            return Output.error("The streamer begins within a second. Watch the run: slotstream backfill --wait \(run.run)\n")
        }
        try wait(for: run.run, configuration)
    }

    /// Who asks.
    private static var login: String {
        if let entry = getpwuid(getuid()) { return String(cString: entry.pointee.pw_name) }
        return "user \(getuid())"
    }

    // MARK: - Watching

    private func wait(for number: UInt64, _ configuration: StreamerConfiguration) throws {
        let line = ProgressLine("backfill run \(number)", unit: "rows", wasUnderWay: true)
        let ended: BackfillRun?
        do {
            ended = try BackfillDesk.follow(number, configuration) { run in
                line.update(count: run.rows, fraction: run.fraction ?? 0, note: BackfillListing.note(run))
            }
        } catch {
            line.end()
            throw error
        }
        line.end()
        guard let ended else { throw InputError(message: "nothing is known of run \(number) any more") }
        show([ended])
        if ended.state != .done || ended.why != nil {
            let end =
                switch ended.state {
                case .failed: "cannot go on"
                case .done: "is done, but not whole"
                case .waiting, .preparing, .walking, .paused, .cancelled: "was cancelled"
                }
            Output.error("run \(number) \(end)\(ended.why.map { ": \(ShownText.line($0))" } ?? "")\n")
            throw ExitCode(ExitStatus.findings.rawValue)
        }
    }

    private func show(_ runs: [BackfillRun], isList: Bool = false) {
        if isJSON {
            Output.data(BackfillListing(runs).json())
        } else if isList {
            Output.data(runs.isEmpty ? "no backfill was asked for" : BackfillListing.table(runs, on: .ofOutput()))
        } else {
            for run in runs { Output.data(BackfillListing.line(run)) }
        }
    }
}
