import History
import Pipeline
import WAL

/// `slot advance` as JSON; without a reason nothing is lost, without a sequence nothing was stored.
struct GapListing: Encodable {
    let schema = "slotstream.slot_advance/1"
    var reason: String?
    var message: String?
    var fromLsn: String?
    var toLsn: String?
    var subject: String?
    var sequence: UInt64?
    var created: [String]?

    init(_ gap: GapAcceptance.Gap?) {
        guard let gap else { return }
        reason = gap.reason.rawValue
        message = gap.what
        fromLsn = gap.fromLSN.description
        toLsn = gap.toLSN.description
        subject = gap.subject
        sequence = gap.sequence
        created = gap.created
    }

    func json() -> String { ContractJSON.text(self) }
}
