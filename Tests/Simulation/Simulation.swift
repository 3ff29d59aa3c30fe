import ArgumentParser
import CFibers
import Glibc

/// The command: runs schedules, finds planted faults, replays one schedule.
@main
struct Simulation: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "simulation",
        abstract: "Runs the streamer's own code against models of PostgreSQL and JetStream, in one thread, by seeds.",
        discussion: """
            Each schedule is another one: its seed decides what is written, which faults happen and when, and whose turn it is. Lost, doubled, \
            disordered or early confirmed events, and stops without a cause, end it with its seed; --seed tells all that happened in it.

            examples: simulation --schedules 100000
                      simulation --seed 4711
                      simulation --plants
            """)

    @Option(help: ArgumentHelp("Replay one schedule, and tell all that happens in it.", valueName: "n"))
    var seed: UInt64?

    @Option(help: ArgumentHelp("Run so many schedules; with --plants, at most so many for each.", valueName: "n"))
    var schedules = 50_000

    @Option(help: ArgumentHelp("End after so many seconds.", valueName: "s"))
    var seconds: Int?

    @Option(help: ArgumentHelp("The first schedule's seed.", valueName: "n"))
    var from: UInt64 = 1

    @Flag(help: "Plant each known fault in turn, and tell the schedule that finds it.")
    var plants = false

    @Flag(help: "Go on behind a schedule that is wrong, and name all such seeds.")
    var all = false

    @Option(help: ArgumentHelp("Plant one fault: \(Plant.names).", valueName: "fault"))
    var plant: Plant = .none

    func run() throws {
        if let seed {
            guard replay(seed) else { throw ExitCode.failure }
        } else if plants {
            guard findPlants() else { throw ExitCode.failure }
        } else {
            guard search() else { throw ExitCode.failure }
        }
    }

    /// - Returns: Whether nothing was wrong.
    private func replay(_ seed: UInt64) -> Bool {
        let world = World(seed: seed, plant: plant)
        world.listener = { print($0) }
        world.run()
        print(world.violation.map { "seed \(seed): \($0)" } ?? "seed \(seed): nothing is wrong, after \(world.stepCount) steps")
        return world.violation == nil
    }

    private func search() -> Bool {
        if all { return searchAll() }
        let clock = ProcessorClock()
        let (count, found) = Search(plant: plant, from: from, count: schedules, seconds: seconds).run()
        print("\(count) schedules, \(clock.rate(count)) a minute of processor time")
        guard let found else { return true }
        print("seed \(found.seed): \(found.violation)\n")
        return replay(found.seed)
    }

    private func searchAll() -> Bool {
        var (next, left, isRight) = (from, schedules, true)
        while left > 0 {
            let (count, found) = Search(plant: plant, from: next, count: left, seconds: seconds).run()
            next += UInt64(count)
            left -= count
            guard let found else { break }
            isRight = false
            print("seed \(found.seed): \(found.violation)")
        }
        return isRight
    }

    private func findPlants() -> Bool {
        var isEachFound = true
        for plant in Plant.allCases where plant != .none {
            let (count, found) = Search(plant: plant, from: from, count: schedules, seconds: seconds).run()
            if let found {
                print("\(plant.rawValue): schedule \(count), seed \(found.seed): \(found.violation)")
            } else {
                isEachFound = false
                print("\(plant.rawValue): NOT FOUND in \(count) schedules")
            }
        }
        return isEachFound
    }
}

extension Plant: ExpressibleByArgument {
    static var names: String { allCases.map(\.rawValue).joined(separator: ", ") }
}

/// Runs schedules until one is wrong.
struct Search {
    var plant: Plant
    var from: UInt64
    var count: Int
    /// nil: however long it takes.
    var seconds: Int?

    /// - Returns: So many schedules were run, and the one that is wrong.
    func run() -> (count: Int, found: (seed: UInt64, violation: String)?) {
        let end = seconds.map { ContinuousClock.now + .seconds($0) }
        for index in 0..<count {
            if index % 64 == 0, let end, ContinuousClock.now >= end { return (index, nil) }
            let seed = from &+ UInt64(index)
            slotstream_seed_is(seed)
            let world = World(seed: seed, plant: plant)
            world.run()
            if let violation = world.violation { return (index + 1, (seed, violation)) }
        }
        return (count, nil)
    }
}

/// What this process has used of a processor: others on the machine do not count.
struct ProcessorClock {
    private let start = ProcessorClock.nanoseconds

    private static var nanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    func rate(_ count: Int) -> Int {
        let spent = max(1, Self.nanoseconds - start)
        return Int(Double(count) * 60e9 / Double(spent))
    }
}
