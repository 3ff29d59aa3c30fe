import History
import WAL

/// All that takes part in one schedule, and the one who says whose turn it is: time passes only here, and everything that happens is chosen by the seed.
final class World {
    /// The schedule never ends: more than it ever takes.
    private static let stepLimit = 60_000
    /// When everything has calmed down, this much time is enough to store and confirm what there is.
    private static let calmTime: UInt64 = 600_000_000_000
    /// While faults happen it goes on for so many steps, at most.
    private static let roughStepLimit = 1_500

    enum Phase { case rough, calm, over }

    /// What can happen next.
    private enum Choice {
        case strand(Strand)
        case deliver(ModelLink)
        case reply(ModelLink)
        case send(Walsender)
        case status(Walsender)
        case comeBack(ModelLink)
    }

    let seed: UInt64
    let plant: Plant
    var random: Random
    let schedule: Schedule
    private(set) var now: UInt64 = 1_000_000_000
    private(set) var phase = Phase.rough
    private(set) var stepCount = 0
    private var faultsLeft: Int
    private var workLeft: Int
    private var calmSince: UInt64 = 0
    /// Processes that were started since then.
    private var calmStartCount = 0

    var changes: [Change] = []
    lazy var server = ModelServer(self)
    lazy var jetStream = ModelJetStream(self, schedule.version, duplicateWindow: schedule.duplicateWindow)
    lazy var oracle = Oracle(self)
    var processes: [Process] = []
    var walsenders: [Walsender] = []
    var links: [ModelLink] = []
    /// What is still under way though its sender is gone or has lost the link: each may arrive whenever, or never.
    private var late: [[Publish]] = []
    private var choices: [Choice] = []
    var scratch = AnswerText()

    /// Somebody else's message was stored.
    private(set) var hadStray = false
    /// The record's last versions are lost.
    var hasLostRecord = false
    var hasOtherHistory = false
    private(set) var violation: String?
    /// Told each thing that happens; nil: nobody listens.
    var listener: ((String) -> Void)?

    init(seed: UInt64, plant: Plant) {
        self.seed = seed
        self.plant = plant
        var random = Random(seed: seed)
        schedule = Schedule(&random)
        self.random = random
        faultsLeft = schedule.faultCount
        workLeft = schedule.workCount
    }

    func tell(_ text: () -> String) {
        guard let listener else { return }
        listener("\(now / 1_000_000) ms: \(text())")
    }

    /// The first thing that must never be.
    func fail(_ what: String) {
        guard violation == nil else { return }
        violation = what
        tell { "WRONG: \(what)" }
    }

    // MARK: - The schedule

    /// Runs it to its end.
    func run() {
        tell { "seed \(seed): \(schedule.version), \(schedule.faults.map { "\($0)" }.joined(separator: ", ")), \(schedule.faultCount) faults, \(schedule.workCount) pieces of work, window \(schedule.inFlightLimit)" }
        jetStream.begin()
        start()
        while phase != .over, violation == nil {
            stepCount += 1
            if stepCount > Self.stepLimit { fail("it does not end") }
            step()
        }
        end()
    }

    private func step() {
        now += UInt64(1 + random.below(16)) * 50_000
        bury()
        if phase == .rough {
            if (workLeft == 0 && faultsLeft == 0) || stepCount > Self.roughStepLimit { calmDown() } else if happens() { return }
        } else if isOver() {
            return
        }
        collect()
        guard !choices.isEmpty else { return pass() }
        take(choices[choices.count == 1 ? 0 : random.below(choices.count)])
    }

    private func collect() {
        choices.removeAll(keepingCapacity: true)
        for process in processes where process.life == .running {
            for strand in process.strands where strand.isReady(at: now) { choices.append(.strand(strand)) }
        }
        for link in links where !link.isClosed {
            if link.hasMessage, jetStream.hasLeader { choices.append(.deliver(link)) }
            if link.hasReply { choices.append(.reply(link)) }
            if !link.isUp, link.process.life == .running { choices.append(.comeBack(link)) }
        }
        for walsender in walsenders {
            if walsender.canSend { choices.append(.send(walsender)) }
            if walsender.hasStatus { choices.append(.status(walsender)) }
        }
    }

    private func take(_ choice: Choice) {
        switch choice {
        case .strand(let strand): strand.resume()
        case .deliver(let link): link.deliver()
        case .reply(let link): reply(link)
        case .send(let walsender): walsender.send()
        case .status(let walsender): walsender.takeStatus()
        case .comeBack(let link): link.comeBack()
        }
    }

    private func reply(_ link: ModelLink) {
        guard phase == .rough, faultsLeft > 0 else { return link.deliverReply() }
        if schedule.allows(.loseReply), random.once(in: 6) {
            faultsLeft -= 1
            tell { "an answer is lost" }
            return link.deliverReply(isLost: true)
        }
        if schedule.allows(.doubleReply), random.once(in: 6) {
            faultsLeft -= 1
            return link.deliverReply(isDoubled: true)
        }
        link.deliverReply()
    }

    /// Nobody has anything to do: time passes until somebody has.
    private func pass() {
        var next = now + 1_000_000_000
        for process in processes where process.life == .running {
            for strand in process.strands where !strand.isDone {
                if let deadline = strand.deadline { next = min(next, deadline) }
            }
        }
        if !jetStream.hasLeader { next = min(next, jetStream.leaderlessUntil) }
        now = max(now, next)
        timeOutWalsenders()
        server.keepHouse()
    }

    /// A walsender that hears nothing ends: its client is dead, frozen or cut off.
    private func timeOutWalsenders() {
        for walsender in walsenders where walsender.isOpen && now > walsender.heardAt + 3_000_000_000 && !walsender.hasStatus {
            tell { "walsender \(walsender.pid) times out" }
            walsender.isOpen = false
            walsender.wake()
            if server.holder === walsender { server.holder = nil }
        }
        walsenders.removeAll { !$0.isOpen && !$0.hasStatus }
    }

    // MARK: - Processes

    /// A new process of the streamer is started.
    func start() {
        let process = Process(self, number: processes.count + 1)
        processes.append(process)
        tell { "process \(process.number) starts" }
        StreamerModel.begin(process)
    }

    /// Lets the strands of what was killed run to their ends: nothing that they do has an effect.
    private func bury() {
        for process in processes where process.isDead && !process.isGone {
            var count = 0
            while !process.isGone {
                for strand in process.strands { strand.resume() }
                count += 1
                if count > 10_000 { return fail("process \(process.number) does not end though it is dead") }
            }
        }
        links.removeAll { $0.isClosed }
    }

    var isAnyRunning: Bool { processes.contains { $0.life == .running } }

    /// Whether a strand that asks for something is to rest there.
    func isRestful(_ process: Process) -> Bool {
        if phase == .rough, faultsLeft > 0, schedule.allows(.kill), random.once(in: 60) {
            faultsLeft -= 1
            process.die()
            return false
        }
        return random.once(in: schedule.restInterval)
    }

    /// The change whose event this is; its id and its body are what they have to be.
    func published(_ body: UnsafeBufferPointer<UInt8>, _ id: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let number = ChangeMark.number(in: body), number < changes.count else {
            fail("a message without a change is published")
            return nil
        }
        if changes[number].payload.isEmpty {
            changes[number].payload = Array(body)
        } else if !changes[number].payload.elementsEqual(body) {
            fail("change \(number) is published with another body")
        }
        if !changes[number].id.elementsEqual(id) {
            fail("change \(number) is published as \(String(decoding: id, as: UTF8.self))")
        }
        return number
    }

    /// The change with this id.
    func number(of id: UnsafeBufferPointer<UInt8>) -> Int? { changes.lastIndex { $0.id.elementsEqual(id) } }

    // MARK: - What happens beside

    /// Takes what has arrived at JetStream.
    func received(_ message: Publish) -> Answer? {
        let answer = jetStream.publish(message)
        if phase == .rough, faultsLeft > 0, case .change = message.content, schedule.allows(.otherStream), random.once(in: 8) {
            faultsLeft -= 1
            tell { "another stream answers" }
            return .otherStream(message.token)
        }
        return answer
    }

    func delay(_ messages: [Publish]) {
        if !messages.isEmpty { late.append(messages) }
    }

    private func deliverLate() {
        let index = random.below(late.count)
        let message = late[index].removeFirst()
        if late[index].isEmpty { late.remove(at: index) }
        guard jetStream.hasLeader else { return }
        // A limit: of a server that was restored on its timeline xid and LSN can come again, and an event of before that arrives after both servers were
        // read is told from the new one by nothing.
        if schedule.allows(.restore), message.historyNumber != server.historyNumber { return }
        _ = jetStream.publish(message)
    }

    /// Perhaps something happens that nobody of the program's does.
    private func happens() -> Bool {
        let chance = random.below(24)
        if chance == 0, workLeft > 0 {
            work()
            return true
        }
        if chance == 1, !late.isEmpty {
            if random.once(in: 4) { late.remove(at: random.below(late.count)) } else { deliverLate() }
            return true
        }
        if chance == 2, faultsLeft > 0 {
            fault()
            return true
        }
        if chance == 3, !isAnyRunning || (processes.allSatisfy { $0.life != .running || $0.walsender != nil } && random.once(in: 12)),
            processes.count(where: { $0.life == .running || $0.life == .frozen }) < 2
        {
            start()
            return true
        }
        if chance == 4 {
            if random.once(in: 3) { server.persist() } else if let holder = server.holder { holder.keepAlive(isReplyRequested: random.once(in: 2)) }
            for process in processes where process.life == .frozen && random.once(in: 3) { thaw(process) }
            return true
        }
        return false
    }

    private func work() {
        workLeft -= 1
        guard server.isUp else { return }
        switch random.below(8) {
        case 0: server.makeNoise()
        case 1 where schedule.hasMessages: server.emit()
        default:
            let hides = schedule.hidesRows ? random.next() : 0
            server.commit(1 + random.below(4), isTight: random.once(in: 2)) { hides >> (2 * UInt64($0)) & 3 == 3 }
        }
    }

    private func thaw(_ process: Process) {
        process.life = .running
        tell { "process \(process.number) goes on" }
    }

    private func fault() {
        let kinds = schedule.faults
        let running = processes.filter { $0.life == .running }
        switch kinds[random.below(kinds.count)] {
        case .kill: running.randomElement(&random)?.die()
        case .freeze:
            guard let process = running.randomElement(&random) else { return }
            process.life = .frozen
            tell { "process \(process.number) is frozen" }
        case .stop:
            guard let process = running.randomElement(&random) else { return }
            tell { "process \(process.number) is asked to end" }
            process.stop()
        case .breakLink: links.filter { $0.isUp }.randomElement(&random)?.breakDown()
        case .stray: stray()
        case .echo: jetStream.echo()
        case .restartNATS: restartNATS(losing: 0, recordVersions: 0)
        case .loseTail: restartNATS(losing: 1 + random.below(4), recordVersions: 0)
        case .loseTailAndRecord: restartNATS(losing: random.below(5), recordVersions: random.below(4))
        case .changeLeader: jetStream.changeLeader(UInt64(random.below(3_000)) * 1_000_000)
        case .staleLeader: if jetStream.hasOldLeader { jetStream.wakeOldLeader(UInt64(1 + random.below(12_000)) * 1_000_000) } else { jetStream.rememberForStaleness() }
        case .retire: jetStream.retire(through: jetStream.state.firstSequence + UInt64(random.below(4)))
        case .restartPostgres: server.restart(UInt64(random.below(2_000)) * 1_000_000)
        case .breakWalsender: server.closeHolder()
        case .failOver: loseHistory { server.failOver(keeping: $0, UInt64(random.below(2_000)) * 1_000_000) }
        case .restore: loseHistory { server.restore(keeping: $0, UInt64(random.below(2_000)) * 1_000_000) }
        case .loseReply, .doubleReply, .otherStream: return
        }
        faultsLeft -= 1
    }

    private func stray() {
        hadStray = true
        for _ in 0..<(random.once(in: 4) ? 3 : 1) { jetStream.stray() }
    }

    private func restartNATS(losing count: Int, recordVersions: Int) {
        for link in links { link.breakDown() }
        jetStream.restart(losing: count, recordVersions: recordVersions)
    }

    private func loseHistory(_ lose: (Int) -> Void) {
        // The standby has what the slot was synchronized at.
        let kept = server.leastKeptCount
        lose(kept + random.below(server.records.count - kept + 1))
        hasOtherHistory = true
        oracle.historyChanged()
    }

    // MARK: - The end

    /// No faults any more: all that was begun must come to its end.
    private func calmDown() {
        phase = .calm
        calmSince = now
        while !late.isEmpty {
            if random.once(in: 2) { late.removeAll() } else { deliverLate() }
        }
        server.downUntil = 0
        while workLeft > 0 { work() }
        jetStream.calmDown()
        for process in processes where process.life == .frozen { thaw(process) }
        tell { "it is calm" }
    }

    /// Retention has taken messages of which the record does not tell: what they were is not known.
    private var hasRetiredUnknown: Bool {
        jetStream.state.firstSequence > (RecordText.lastSequence(in: jetStream.state.record) ?? 0) + 1
    }

    /// A process has stopped for a reason: it must be one.
    func judge(_ reason: StopReason, _ message: String, of process: Process) {
        let isJustified =
            switch reason {
            case .holeFound: oracle.hasHole || hasRetiredUnknown || hasOtherHistory
            case .historyDiverged, .positionAheadOfWAL: hasOtherHistory
            case .streamTailLost: oracle.hasLost
            case .streamPurged: oracle.hasLost || hasRetiredUnknown
            case .slotAhead: hasLostRecord
            case .otherWriter:
                RecordText.owner(in: jetStream.state.record).map { $0 != Array("process\(process.number)".utf8) } ?? true
            default: false
            }
        if !isJustified { fail("process \(process.number) stops without cause, \(reason.rawValue): \(message)") }
    }

    /// Whether all is as it has to be, or can never be.
    private func isOver() -> Bool {
        if !isAnyRunning {
            // A stop is believed when the next start stops too; whoever was killed or asked to end is started again.
            guard let last = processes.last, last.reason != nil, last.reason != .otherWriter, calmStartCount > 0 else {
                calmStartCount += 1
                if calmStartCount > 5 { fail("process \(processes.count) does not stay") }
                start()
                return true
            }
            phase = .over
            return true
        }
        if server.confirmed >= server.end, oracle.incompleteness() == nil, processes.allSatisfy({ $0.isQuiet }) {
            phase = .over
            return true
        }
        if now > calmSince + Self.calmTime {
            fail("it is calm, and not all is stored and confirmed: \(oracle.incompleteness() ?? "a process does not come to rest")")
        }
        return false
    }

    /// Takes the world apart: what still runs is killed, so that its strands end.
    private func end() {
        for process in processes where process.life == .running || process.life == .frozen { process.die() }
        bury()
        for process in processes { process.letGo() }
    }
}

extension Array {
    func randomElement(_ random: inout Random) -> Element? { isEmpty ? nil : self[random.below(count)] }
}
