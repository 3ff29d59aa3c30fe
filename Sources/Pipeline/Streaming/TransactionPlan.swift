/// What is to be sent next where transactions go out as atomic batches. Pure: the same answer for the same facts.
///
/// A batch costs the server milliseconds, whatever it holds: one is in flight at a time, and holds all the whole transactions that have come meanwhile. What is atomic by itself, a transaction of one event, needs none: where there is nothing else to send, such events are chained and pipelined.
enum TransactionPlan: Equatable {
    /// Nothing now: an ack or more events decide.
    case wait
    /// Nothing until more events come: what is there is the beginning of a transaction.
    case hold
    /// Chained messages up to this count: transactions of one event, or all that there is of one that no batch can hold.
    case chained(through: UInt64)
    /// One batch up to this count: whole transactions.
    case batch(through: UInt64)

    /// What a batch may hold.
    struct Limits: Equatable {
        var eventCount: Int
        var byteCount: Int
    }

    /// What is in flight.
    enum InFlight: Equatable {
        case nothing, chained, batch
    }

    /// What must be known of a retained event.
    struct Event: Equatable {
        var isLast: Bool
        var byteCount: Int
    }

    /// - Parameters:
    ///   - range: The events that wait to be sent, as the window counts.
    ///   - isInside: Whether the first of them goes on with a transaction of which something was sent.
    ///   - isFull: Whether no more events come before some are stored.
    static func next(
        _ range: Range<UInt64>, isInside: Bool, inFlight: InFlight, limits: Limits, isFull: Bool,
        event: (UInt64) -> Event
    ) -> TransactionPlan {
        guard !range.isEmpty, inFlight != .batch else { return .wait }
        if isInside { return .chained(through: endOfTransaction(range, event)) }
        if inFlight == .chained {
            return event(range.lowerBound).isLast ? .chained(through: range.lowerBound + 1) : .wait
        }
        var byteCount = 0
        var end = range.lowerBound
        var isEachAlone = true
        var index = range.lowerBound
        while index < range.upperBound {
            let event = event(index)
            byteCount += event.byteCount
            guard index - range.lowerBound < UInt64(limits.eventCount), byteCount <= limits.byteCount else { break }
            index += 1
            if event.isLast {
                isEachAlone = isEachAlone && index == end + 1
                end = index
            }
        }
        if end > range.lowerBound { return isEachAlone ? .chained(through: end) : .batch(through: end) }
        // The first transaction is not whole: it is too large for a batch, or its rest is still to come.
        if index < range.upperBound || isFull { return .chained(through: endOfTransaction(range, event)) }
        return .hold
    }

    private static func endOfTransaction(_ range: Range<UInt64>, _ event: (UInt64) -> Event) -> UInt64 {
        for index in range where event(index).isLast { return index + 1 }
        return range.upperBound
    }
}
