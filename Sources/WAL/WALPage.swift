/// How the server's WAL is cut into pages, each with a header.
public enum WALPage {
    private static let byteCount: UInt64 = 8_192
    /// Of the first page of a segment; others have a shorter one.
    private static let longHeaderByteCount: UInt64 = 40

    /// Where something was written, of where the next record goes: behind a page's header nothing stands yet, and an idle walsender never comes to it.
    public static func written(_ insertLSN: LSN) -> LSN {
        let offset = insertLSN.rawValue % byteCount
        return offset <= longHeaderByteCount ? LSN(insertLSN.rawValue - offset) : insertLSN
    }
}
