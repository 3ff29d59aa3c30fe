import ArgumentParser

@main
struct StageBenchmark: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stage-benchmark", abstract: "Measures and fuzzes what turns rows into events and hands them to NATS.",
        subcommands: [RowsCommand.self, StagesCommand.self, FuzzCommand.self])
}
