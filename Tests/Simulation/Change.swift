/// A change that was committed and has to be stored as an event, as the model knows it: nothing here comes from the program.
struct Change {
    /// What its `Nats-Msg-Id` has to be.
    let id: [UInt8]
    /// Its transaction's commit record begins here; of a message outside transactions, its own record.
    let start: UInt64
    /// Its transaction's, counted over all histories.
    let transaction: Int
    /// Its body, as it was published first: it is the same each time.
    var payload: [UInt8] = []
    /// The body says that it is the transaction's last.
    let isLast: Bool
    /// Sequences at which it stands in the stream, or stood before retention took it; ascending.
    var sequences: [UInt64] = []
    /// JetStream has lost it after it was stored.
    var wasLost = false
}

/// A value in a row by which the model finds the change that an event is of: `#`, its number, `#`.
enum ChangeMark {
    static func text(_ number: Int) -> String { "#\(number)#" }

    /// Finds it in an event's body; nil: it is no event of a change.
    static func number(in body: UnsafeBufferPointer<UInt8>) -> Int? {
        guard let start = body.firstIndex(of: UInt8(ascii: "#")) else { return nil }
        var number = 0
        for byte in body[(start + 1)...] {
            guard byte != UInt8(ascii: "#") else { return number }
            let digit = byte &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            number = number * 10 + Int(digit)
        }
        return nil
    }

    /// `<system>.<database>.<timeline>.<xid>.<LSN>.<ordinal>`, written anew from what the contract says.
    static func id(timeline: UInt32, xid: UInt32, lsn: UInt64, ordinal: Int) -> [UInt8] {
        let digits = String(lsn, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: 16 - digits.utf8.count) + digits
        return Array("\(ModelServer.systemID).\(ModelServer.databaseOID).\(timeline).\(xid).\(padded).\(ordinal)".utf8)
    }
}
