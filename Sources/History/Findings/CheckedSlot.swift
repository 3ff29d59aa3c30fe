package import PostgresReplication

/// Slot, record and stream beside one another, for `check`.
package struct CheckedSlot {
    package var name: String
    /// As libpq gives it.
    package var serverVersion: Int
    package var database: String
    package var slot: SlotState?
    package var anchor: SlotState?
    /// nil: one of the servers did not answer.
    package var facts: Recovery.Facts?
    /// What the slot holds and PostgreSQL cannot send.
    package var obstacle: StreamerError?
    package var isFailoverWanted: Bool
    /// WAL that the anchor may hold.
    package var windowByteCount: UInt64
    /// Nothing has to be there yet.
    package var isBeforeStart: Bool

    package init(
        name: String, serverVersion: Int, database: String, isFailoverWanted: Bool, windowByteCount: UInt64, isBeforeStart: Bool
    ) {
        self.name = name
        self.serverVersion = serverVersion
        self.database = database
        self.isFailoverWanted = isFailoverWanted
        self.windowByteCount = windowByteCount
        self.isBeforeStart = isBeforeStart
    }

    /// What is wrong with the slot, and where the streamer would stop at its start.
    package var findings: [Finding] {
        var findings = starting
        if let obstacle { findings += obstacle.findings }
        if isFailoverWanted, serverVersion >= 170_000, let slot, slot.failover == false { findings.append(notFailoverSafe) }
        return findings + window
    }

    private var starting: [Finding] {
        guard let facts else { return slot == nil || slot?.isActive == true || isBeforeStart ? [] : [nobody] }
        if let slot, slot.isActive { return refused(Recovery.refusal(ofSlot: slot, facts), facts) + lagging(slot, facts) }
        switch Recovery.assess(facts) {
        case .proceed: return isBeforeStart ? [] : [nobody]
        case .firstStart:
            if isBeforeStart { return [] }
            return [
                Finding(
                    .slotUnusable, "slot \(name)", "slot \(name) does not exist, and nothing is set up yet", why: "there is nothing to stream from",
                    paste: .command("slotstream setup"))
            ]
        case let outcome: return refused(outcome, facts)
        }
    }

    private func refused(_ outcome: Recovery.Outcome?, _ facts: Recovery.Facts) -> [Finding] {
        guard case .refuse(let reason, let what, let remedy, _)? = outcome else { return [] }
        let isOfSlot = slot.map { Recovery.refusal(ofSlot: $0, facts) == outcome } ?? false
        let id = isOfSlot ? .slotUnusable : FindingID.of(reason) ?? .wouldStop
        return [Finding(id, severity: .error, "slot \(name)", what, why: "The streamer stops at the start (\(reason.rawValue))", fix: remedy)]
    }

    /// Who holds the slot confirms more than the record knows: it is no streamer of this stream.
    private func lagging(_ slot: SlotState, _ facts: Recovery.Facts) -> [Finding] {
        guard let record = facts.record, let confirmed = slot.confirmedFlushLSN, !record.isClaim, confirmed > record.confirmedLSN else { return [] }
        return [
            Finding(
                .nobodyStreams, "slot \(name)",
                "the program that holds slot \(name) has confirmed \(confirmed), but the checkpoint record ends at \(record.confirmedLsn)",
                why: "another program reads the slot, and its changes are not in the stream",
                fix: slot.activePID == nil ? "Stop the program" : nil,
                paste: slot.activePID.map { .sql("SELECT pg_terminate_backend(\($0))", isByHand: true) })
        ]
    }

    private var nobody: Finding {
        Finding(
            .nobodyStreams, "slot \(name)", "nobody streams from slot \(name)", why: "changes wait in the slot, which holds WAL",
            paste: .command("slotstream run"))
    }

    private var notFailoverSafe: Finding {
        Finding(
            .notFailoverSafe, "slot \(name)", "slot \(name) does not follow a promotion (failover is off)", why: "a failover loses the slot",
            paste: .command("psql \"dbname=\(database) replication=database\" -c 'ALTER_REPLICATION_SLOT \(name) (FAILOVER true)'"))
    }

    private var window: [Finding] {
        guard let anchor else { return [] }
        let drops = Paste.sql("SELECT pg_drop_replication_slot(\(quoteLiteral(anchor.name)))", isByHand: true)
        if anchor.isInvalidated {
            return [
                Finding(
                    .replayWindow, "slot \(anchor.name)", "slot \(anchor.name) of the replay window was invalidated",
                    why: "older events cannot be replayed from the WAL", paste: drops)
            ]
        }
        let held = anchor.retainedByteCount ?? 0
        // A segment of WAL is freed as a whole.
        guard held > windowByteCount + 64 * 1024 * 1024 else { return [] }
        return [
            Finding(
                .replayWindow, "slot \(anchor.name)",
                "slot \(anchor.name) of the replay window holds \(held / 1024 / 1024) MB of WAL, more than replay.window_bytes (\(windowByteCount / 1024 / 1024) MB)",
                why: "the WAL fills the disk of PostgreSQL", paste: drops)
        ]
    }
}
