extension ExitStatus {
    /// In a few words, for a list of all codes.
    package var name: String {
        switch self {
        case .done: "done"
        case .findings: "findings"
        case .usage: "usage"
        case .poisonEvent: "poison event"
        case .unreachable: "server unreachable"
        case .unexpected: "unexpected"
        case .lostHistory: "lost history"
        case .slotActive: "slot active elsewhere"
        case .otherWriter: "another writer"
        case .notPermitted: "not permitted"
        case .configuration: "configuration"
        }
    }

    /// What the code says, in a sentence: the page on stops shows it.
    package var meaning: String {
        switch self {
        case .done: "The command is done, or the streamer was told to stop."
        case .findings: "The command found something to do."
        case .usage: "The command line is wrong."
        case .poisonEvent: "An event cannot be published."
        case .unreachable: "A server cannot be reached. `slotstream run` tries again instead of stopping."
        case .unexpected: "A bug, or an error that nobody foresaw."
        case .lostHistory: "Slot and stream cannot be joined without a gap."
        case .slotActive: "Another streamer holds the slot. `slotstream run` stands by instead of stopping."
        case .otherWriter: "Another writer took over the record, or left a hole in the stream."
        case .notPermitted: "A server denies a right."
        case .configuration: "A setting, or an object on a server that a setting names, cannot be used."
        }
    }

    /// Whether a supervisor helps that starts `slotstream run` again.
    package var isMendedByRestart: Bool {
        switch self {
        case .unreachable, .unexpected, .slotActive: true
        case .done, .findings, .usage, .poisonEvent, .lostHistory, .otherWriter, .notPermitted, .configuration: false
        }
    }
}
