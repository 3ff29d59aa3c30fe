import WAL

/// The slot as it is found once this session holds it.
struct HeldSlot {
    /// Nobody else can move it: what is confirmed from the start, and no more.
    var confirmedLSN: LSN
    /// The walsender, as PostgreSQL numbers it. What libpq says may be a proxy's number.
    var pid: Int32?
}
