import ArgumentParser
import Console
import History
import Pipeline
import Settings

/// What `verify --rows` is asked for.
struct RowsOptions: ParsableArguments {
    @Option(name: .customLong("rows"), help: ArgumentHelp("Compare the rows of this table, as schema.table.", valueName: "table"))
    var table: String?

    @Flag(name: .customLong("strict"), help: "The stream began before the table had rows, or has all of them by a backfill: no row is older.")
    var isStrict = false

    @Option(
        name: .customLong("memory"),
        help: ArgumentHelp("Memory for rows, 256MiB if left out. A larger table is read in several passes.", valueName: "size"),
        transform: Self.byteCount)
    var memoryByteLimit: Int?

    private static func byteCount(_ text: String) throws -> Int {
        guard let count = ByteCountNotation.parse(text), count >= 1 << 16 else {
            throw ValidationError("\(text) is not a size of 64KiB or more, such as 256MiB")
        }
        return count
    }

    func validate() throws {
        if table == nil, isStrict || memoryByteLimit != nil { throw ValidationError("--strict and --memory go with --rows TABLE") }
    }

    /// Compares and prints; ends with 1 where there are differences.
    func compare(_ table: String, _ configuration: StreamerConfiguration, isJSON: Bool) throws {
        var options = RowsProof.Options(isStrict: isStrict)
        if let memoryByteLimit { options.memoryByteLimit = memoryByteLimit }
        let report = try RowsProof.run(
            configuration, table: table, options: options, onWait: { Output.error("\($0)\n") },
            onPass: { pass, left in
                if pass > 1 { Output.error("pass \(pass), at least \(left) to follow\n") }
            })
        if isJSON {
            Output.data(RowsListing(report).json())
        } else {
            for line in RowsListing.lines(report) { Output.data(line) }
        }
        if report.differenceCount > 0 { throw ExitCode(ExitStatus.findings.rawValue) }
    }
}
