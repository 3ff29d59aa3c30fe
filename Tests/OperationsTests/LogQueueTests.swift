import Glibc
import Testing

@testable import Operations

@Suite(.timeLimit(.minutes(1))) struct LogQueueTests {
    /// A pipe that nobody reads until it is told to.
    private final class Pipe: Sendable {
        let readEnd: Int32
        let writeEnd: Int32

        init() throws {
            var ends: [Int32] = [-1, -1]
            try #require(pipe(&ends) == 0)
            (readEnd, writeEnd) = (ends[0], ends[1])
        }

        deinit {
            close(readEnd)
            close(writeEnd)
        }

        /// The lines until they are enough; fewer, if for ten seconds none comes.
        func lines(until isEnough: ([Substring]) -> Bool) -> [Substring] {
            var bytes: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 65_536)
            while true {
                let text = String(decoding: bytes, as: UTF8.self)
                let lines = text.hasSuffix("\n") ? text.split(separator: "\n") : []
                if isEnough(lines) { return lines }
                var entry = pollfd(fd: readEnd, events: Int16(POLLIN), revents: 0)
                guard poll(&entry, 1, 10_000) == 1 else { return text.split(separator: "\n") }
                let count = read(readEnd, &chunk, chunk.count)
                bytes += chunk[..<max(0, count)]
            }
        }
    }

    @Test func writesInOrder() throws {
        let pipe = try Pipe()
        let queue = LogQueue(descriptor: pipe.writeEnd, registry: PrometheusRegistry()) { "missing \($0)\n" }
        for number in 0..<1000 { queue.append("line \(number)\n") }
        #expect(pipe.lines { $0.count >= 1000 } == (0..<1000).map { "line \($0)" })
    }

    /// Ten times as much as there is room for, and nobody reads.
    @Test(arguments: [0, O_NONBLOCK])
    func neverWaitsAndSaysHowMuchIsMissing(_ flags: Int32) throws {
        let pipe = try Pipe()
        try #require(fcntl(pipe.writeEnd, F_SETFL, flags) == 0)
        let registry = PrometheusRegistry.slotstream()
        let queue = LogQueue(descriptor: pipe.writeEnd, registry: registry) { "missing \($0)\n" }
        let padding = String(repeating: "x", count: 1000)
        let count = 10 * LogQueue.byteLimit / 1000
        for number in 0..<count { queue.append("\(padding) \(number)\n") }
        // Nor does the end of the process wait for whoever does not read.
        queue.flush(timeout: .milliseconds(50))
        let dropped = try #require(try Scrape(registry.render()).value(LogQueue.counterName, ["cause": "full"]))
        #expect(Int(dropped) > count / 2)

        /// The numbers of lines that are there, and of those that a notice says are missing, in its place.
        func numbers(_ lines: [Substring]) -> [Int] {
            var numbers: [Int] = []
            var next = 0
            for line in lines {
                if line.hasPrefix("missing ") {
                    next += Int(line.dropFirst("missing ".count)) ?? 0
                } else if let number = line.split(separator: " ").last.flatMap({ Int($0) }) {
                    numbers.append(number)
                    if number != next { return [] }
                    next = number + 1
                }
            }
            numbers.append(next)
            return numbers
        }
        let found = numbers(pipe.lines { numbers($0).last == count })
        #expect(found.last == count)
        #expect(found.count - 1 == count - Int(dropped))
        queue.append("later\n")
        #expect(pipe.lines { $0.last == "later" } == ["later"])
    }

    @Test func aDescriptorThatTakesNothingIsCounted() throws {
        let registry = PrometheusRegistry.slotstream()
        let queue = LogQueue(descriptor: -1, registry: registry) { "missing \($0)\n" }
        queue.append("a\n")
        queue.append("b\n")
        queue.flush(timeout: .seconds(30))
        let scrape = try Scrape(registry.render())
        #expect(scrape.value(LogQueue.counterName, ["cause": "failed"]) == 2)
        #expect(scrape.value(LogQueue.counterName, ["cause": "full"]) == 0)
    }

    @Test func aFloodOfOneMessageIsCutAndCounted() throws {
        let registry = PrometheusRegistry.slotstream()
        let throttle = LogThrottle(registry: registry)
        let start = ContinuousClock.now
        for _ in 0..<LogThrottle.burst { #expect(throttle.admits("flood", at: start) == 0) }
        for _ in 0..<5000 { #expect(throttle.admits("flood", at: start) == nil) }
        // Another message has its own allowance.
        #expect(throttle.admits("other", at: start) == 0)
        #expect(throttle.admits("flood", at: start + .seconds(1)) == 5000)
        #expect(throttle.admits("flood", at: start + .seconds(1)) == nil)
        #expect(throttle.admits("flood", at: start + .seconds(2)) == 1)
        let scrape = try Scrape(registry.render())
        #expect(scrape.value(LogQueue.counterName, ["cause": "flood"]) == 5001)
    }

    /// Messages are texts of ours; were they not, memory would stay bounded.
    @Test func messagesWithoutEndShareOneAllowance() {
        let throttle = LogThrottle(registry: PrometheusRegistry())
        let start = ContinuousClock.now
        let admitted = (0..<10_000).count { throttle.admits("message \($0)", at: start) != nil }
        #expect(admitted == LogThrottle.messageLimit + LogThrottle.burst)
    }
}
