import Capture
import History
import JetStreamPublishing
import Logging
import Pipeline
import PostgresReplication
import Synchronization
import Threads
import WAL

/// A process of the streamer: connects, recovers, streams, and begins again, as `Streamer` does, with the program's own recovery, session and publisher.
final class StreamerModel {
    private let process: Process
    private var strand: Strand { process.strands[0] }
    private var world: World { process.world }
    private let control: StopControl
    private let observations: Observations
    private let obstacles = ObstacleMemory()
    private let configuration: StreamerConfiguration
    private let logger = Settings.logger
    /// Which start of the server the connection is to.
    private var bootNumber = 0

    /// Begins a strand that runs it.
    static func begin(_ process: Process) {
        guard let model = try? StreamerModel(process) else { return process.world.fail("a process cannot be made") }
        process.strands.append(Strand { model.run() })
        process.requestStop = { model.control.request() }
    }

    private init(_ process: Process) throws(StreamerError) {
        self.process = process
        control = try StopControl()
        observations = Settings.observations()
        configuration = Settings.configuration(process.world.schedule)
    }

    private func run() {
        var backoff = Backoff()
        while !process.isDead, !control.isRequested {
            do throws(StreamerError) {
                try runSession()
                break
            } catch {
                guard !process.isDead else { return }
                if control.isRequested { break }
                switch FailurePolicy.verdict(on: error) {
                case .stop(let reason, _): return process.stopped(reason, "\(error)")
                case .standBy: pause(.milliseconds(500))
                case .retry:
                    world.tell { "process \(process.number) begins again: \(error)" }
                    pause(backoff.delay(random: world.random.next()))
                }
            }
        }
        process.ended()
    }

    private func pause(_ duration: Duration) {
        guard !process.isDead else { return }
        strand.wait(until: world.now + duration.wholeNanoseconds)
    }

    // MARK: - One session

    private func runSession() throws(StreamerError) {
        let server = world.server
        process.pass(strand)
        bootNumber = server.bootNumber
        try requireServer()
        if server.holder != nil { throw .slotActive(nil) }
        let link = ModelLink(world, process)
        world.links.append(link)
        process.link = link
        defer { link.close() }
        let port = StreamModel(process, strand, link)
        let (facts, revision, plan) = try recover(port)
        guard let record = facts.record else { throw .checkpointConflict("the checkpoint record disappeared") }
        let walsender = try startReplication(at: plan.startLSN)
        defer { hangUp(walsender) }
        var held = try HeldSlot(server.slotState, plan, facts)
        if world.plant == .confirmsRecord { held.confirmedLSN = max(held.confirmedLSN, record.confirmedLSN) }
        let owned = try Ownership(
            of: record, revision: revision, by: "process\(process.number)", plan, facts, confirmedLSN: held.confirmedLSN, over: port)
        try stream(plan, facts, owned, held, walsender, link, port)
    }

    /// The connection that was made at the start of the session stands.
    private var isConnected: Bool { world.server.isUp && bootNumber == world.server.bootNumber }

    private func requireServer() throws(StreamerError) {
        if process.isDead || !isConnected { throw .postgres(.connectionFailed(message: "the model", sqlState: nil)) }
    }

    /// Reads both servers and judges.
    private func recover(_ port: StreamModel) throws(StreamerError) -> (Recovery.Facts, UInt64, Recovery.Plan) {
        let (facts, revision, outcome) = try ServerFacts.assess(
            configuredReplicas: configuration.stream.replicas, now: { port.now },
            gather: { () throws(StreamerError) in try gather(port) },
            pause: { (_, _) throws(StreamerError) in
                pause(.seconds(1))
                if process.isDead || control.isRequested { throw .cancelled }
            })
        switch outcome {
        case .proceed(let plan): return (facts, revision, world.plant.changes(plan, world))
        case .firstStart: throw .stop(.configuration, what: "nothing is set up", remedy: "")
        case .refuse(let reason, let what, let remedy, _): throw .stop(reason, what: what, remedy: remedy)
        }
    }

    private func gather(_ port: StreamModel) throws(StreamerError) -> (facts: Recovery.Facts, revision: UInt64) {
        process.pass(strand)
        try requireServer()
        let server = world.server
        return try ServerFacts.gather(configuration, slot: server.slotState, nats: port) { () throws(PostgresError) in
            process.pass(strand)
            if process.isDead || !isConnected { throw .connectionLost(message: "the model") }
            return ServerHistory(identity: Settings.identity, timelines: server.timelines, flushLSN: LSN(server.end))
        }
    }

    private func startReplication(at lsn: LSN) throws(StreamerError) -> Walsender {
        process.pass(strand)
        try requireServer()
        guard let walsender = world.server.startReplication(at: lsn.rawValue, reader: strand) else { throw .slotActive(nil) }
        process.walsender = walsender
        return walsender
    }

    private func hangUp(_ walsender: Walsender) {
        guard !process.isDead else { return }
        process.walsender = nil
        world.server.hangUp(walsender)
    }

    private func stream(
        _ plan: Recovery.Plan, _ facts: Recovery.Facts, _ owned: Ownership, _ held: HeldSlot,
        _ walsender: Walsender, _ link: ModelLink, _ port: StreamModel
    ) throws(StreamerError) {
        let assembler: TransactionAssembler
        do throws(CaptureError) {
            assembler = try TransactionAssembler(
                configuration: configuration.capture, functions: configuration.captureFunctions, identity: facts.identity,
                timelines: facts.timelines, payloadLimit: 1 << 20, watermark: plan.known.storedID?.position, proof: plan.proof)
        } catch {
            throw .capture(error)
        }
        let (process, strand) = (process, strand)
        let handover = Handover(
            RetainedWindow(byteLimit: configuration.delivery.inFlightBytes), record: owned.record,
            storedSequence: plan.known.storedSequence,
            connection: Handover.Connection(isConnected: { port.isConnected }, wedgedAt: { nil }),
            wakePublisher: { link.wake() }, wakeSource: { strand.isSignalled = true })
        let publishing = StreamModel(process, strand, link)
        let publisher = ChainedPublisher(
            PublishingStart(plan, owned, facts), configuration: configuration, handover: handover, port: publishing, observations: observations, logger: logger)
        let publisherStrand = Strand { publisher.run() }
        publishing.strand = publisherStrand
        link.publisher = publisherStrand
        process.strands.append(publisherStrand)
        process.stopPublisher = { handover.stopPublisher() }
        process.confirmable = { handover.confirmableLSN.load(ordering: .acquiring) }
        let slotModel = SlotModel(process, strand, walsender)
        let session = Session(
            configuration, server: slotModel,
            reader: ChangeReader(slotModel, catalogue: slotModel, assembler: assembler, startLSN: plan.startLSN),
            window: handover.window, delivery: handover, isMending: false, held: held, doubt: PublicationDoubt(), obstacles: obstacles,
            confirmedLSN: owned.record.confirmedLSN, serverEnd: facts.serverFlushLSN, observations: observations, control: control,
            failpoints: .none, logger: logger)
        let result = Result { () throws(StreamerError) in try session.run() }
        hangUp(walsender)
        handover.stopPublisher()
        link.close()
        while !publisherStrand.isDone, !process.isDead { strand.wait(until: world.now + 1_000_000) }
        process.strands.removeAll { $0 === publisherStrand && $0.isDone }
        try result.get()
    }
}
