/// Where a fast batch is.
enum FastBatch: Equatable {
    case none
    /// The first message is sent: the others follow its answer.
    case starting
    /// `base`: the stream's last sequence before it; `count`: messages sent.
    case open(base: UInt64, count: UInt64)
    /// All is sent, and that it ends: its last answer proves all.
    case ending
}
