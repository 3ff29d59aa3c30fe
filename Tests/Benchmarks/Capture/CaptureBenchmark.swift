import ArgumentParser

@main
struct CaptureBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "capture-benchmark", abstract: "Measures and fuzzes what turns rows into events.",
        subcommands: [RowsCommand.self, FuzzCommand.self])
}
