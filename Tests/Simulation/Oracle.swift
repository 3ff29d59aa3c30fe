import WAL

/// Judges what is stored, recorded and confirmed, by what was committed and by nothing else: it knows none of the program's rules.
///
/// 1. Nothing lost: what is confirmed, or recorded as confirmed, is stored.
/// 2. Nothing twice: no event is stored that was stored when it was sent.
/// 3. Order: what is confirmed stands in commit order, a transaction's events side by side.
/// 4. Truth upstream: see 1, for each position that PostgreSQL is told.
struct Oracle {
    unowned let world: World
    /// So many changes of the server's history were found stored, in order.
    private var provenCount = 0
    /// JetStream lost messages that it had acknowledged.
    private(set) var hasLost = false

    init(_ world: World) { self.world = world }

    /// JetStream has stored a change's event.
    mutating func stored(_ number: Int, at sequence: UInt64, by message: Publish) {
        world.tell { "process \(message.sender): change \(number) is stored at \(sequence)\(message.isLate ? ", late" : "")" }
        let isTwice = !world.changes[number].sequences.isEmpty
        if isTwice {
            world.jetStream.markEcho(sequence)
            // It was not there when it was sent, and somebody else's message has made its number right.
            if message.wasStored || !world.hadStray {
                world.fail("change \(number) is stored twice: at \(world.changes[number].sequences) and \(sequence)")
            }
            return
        }
        world.changes[number].sequences.append(sequence)
    }

    /// JetStream has lost everything from `sequence` on.
    mutating func lost(from sequence: UInt64, _ messages: ArraySlice<ModelJetStream.Stored>) {
        if !messages.isEmpty { hasLost = true }
        for case let number? in messages.lazy.map(\.number) {
            let before = world.changes[number].sequences.count
            world.changes[number].sequences.removeAll { $0 >= sequence }
            if world.changes[number].sequences.count < before { world.changes[number].wasLost = true }
        }
        provenCount = 0
    }

    /// The server has another history.
    mutating func historyChanged() { provenCount = 0 }

    /// The record was put.
    mutating func recorded(_ text: [UInt8], by message: Publish) {
        // Of another history: recovery must find that out.
        guard message.historyNumber == world.server.historyNumber else { return }
        guard let lsn = RecordText.confirmed(in: text) else { return world.fail("the record has no position") }
        confirmed(lsn, by: "the record", isKnownToBeLost: false)
    }

    /// A status that confirms is sent.
    mutating func confirms(_ lsn: UInt64, on walsender: Walsender) {
        guard walsender.historyNumber == world.server.historyNumber else { return }
        confirmed(lsn, by: "a status", isKnownToBeLost: false)
        let recorded = RecordText.confirmed(in: world.jetStream.state.record) ?? 0
        if lsn > recorded, !world.hasLostRecord { world.fail("\(LSN(lsn)) is confirmed before it is recorded (\(LSN(recorded)))") }
    }

    /// Everything that begins before `lsn` will not be sent again.
    private mutating func confirmed(_ lsn: UInt64, by whom: String, isKnownToBeLost: Bool) {
        let history = world.server.history
        while provenCount < history.count, world.changes[history[provenCount]].start < lsn {
            if let fault = fault(provenCount) {
                // JetStream has lost it behind the back of whoever was told that it is stored.
                if world.changes[history[provenCount]].wasLost { return }
                return world.fail("\(whom) says \(LSN(lsn)), but \(fault)")
            }
            provenCount += 1
        }
    }

    /// What is wrong with the change at `index` of the history, if what stands before it is in order.
    private func fault(_ index: Int) -> String? {
        let number = world.server.history[index]
        let change = world.changes[number]
        guard let sequence = change.sequences.first else { return "change \(number) is not stored" }
        guard index > 0 else { return nil }
        let previousNumber = world.server.history[index - 1]
        let previous = world.changes[previousNumber]
        guard let before = previous.sequences.first else { return "change \(previousNumber) is not stored" }
        guard before < sequence else { return "change \(number) stands at \(sequence), before \(previousNumber) at \(before)" }
        guard previous.transaction == change.transaction, sequence > before + 1 else { return nil }
        for between in (before + 1)..<sequence {
            let message = world.jetStream.state.messages[Int(between - 1)]
            if let other = message.number, !message.isEcho {
                return "change \(other) at \(between) stands between \(previousNumber) and \(number) of one transaction"
            }
        }
        return nil
    }

    // MARK: - At the end

    /// What is missing of a whole and confirmed history; nil: nothing.
    func incompleteness() -> String? {
        let history = world.server.history
        for index in history.indices {
            if let fault = fault(index) { return fault }
        }
        if let foreign = foreignNumber { return "change \(foreign) is stored, which is not in the server's history" }
        guard world.server.confirmed >= world.server.end else {
            return "PostgreSQL is told of \(LSN(world.server.confirmed)), and its WAL ends at \(LSN(world.server.end))"
        }
        return nil
    }

    /// A stored event that is not in the server's history.
    var foreignNumber: Int? {
        let state = world.jetStream.state
        let known = world.server.history
        for message in state.messages where !message.isEcho {
            if let number = message.number, !known.contains(number) { return number }
        }
        return nil
    }

    /// Whether an event is stored behind one that is missing.
    var hasHole: Bool {
        var isMissing = false
        var last: UInt64 = 0
        for number in world.server.history {
            guard let sequence = world.changes[number].sequences.first else {
                isMissing = true
                continue
            }
            if isMissing || sequence < last { return true }
            last = sequence
        }
        return false
    }
}
