import CNats
import Glibc

/// What we know of the inside of libnats' `natsMsg`, and whether it is true of the library that is loaded.
///
/// A message that we lay out ourselves is sent as it stands: no copies, no hash of its headers, nothing to be freed. And a message
/// that libnats made can be freed at once: left to itself libnats hands each to a thread of its own, whose queue has no limit and
/// was seen to hold 10 MB on a busy machine.
enum MessageLayout {
    /// Whether `slotstream_nats_message` is how the loaded libnats lays out a message, proved with its public accessors. If it is
    /// not, messages are made by libnats: slower, with the same bytes.
    static let isProven = readsWhatLibnatsWrote() && libnatsReadsWhatWeWrote()

    /// The view of a message of libnats'. Only if ``isProven``.
    static func view(of message: OpaquePointer) -> UnsafeMutablePointer<slotstream_nats_message> {
        UnsafeMutablePointer(message)
    }

    /// Frees a message of libnats' at once, if that can be had.
    static func destroy(_ message: OpaquePointer) {
        if isProven { view(of: message).pointee.free_later = nil }
        natsMsg_Destroy(message)
    }

    /// Made by libnats, looked at through our eyes: every field is where we think.
    private static func readsWhatLibnatsWrote() -> Bool {
        var created: OpaquePointer?
        guard natsMsg_Create(&created, "subject", "reply", "data", 4) == NATS_OK, let created else { return false }
        defer { natsMsg_Destroy(created) }
        let seen = view(of: created).pointee
        return seen.next_garbage == nil && seen.free_later != nil && seen.subject == natsMsg_GetSubject(created)
            && seen.reply == natsMsg_GetReply(created) && seen.data == natsMsg_GetData(created)
            && seen.data_length == natsMsg_GetDataLength(created) && seen.header_bytes == nil
            && seen.header_table == nil && seen.header_length == 0 && seen.flags == 0
    }

    /// Made by us, looked at through libnats' eyes: it finds the headers where they are when it sends a message, too.
    private static func libnatsReadsWhatWeWrote() -> Bool {
        // Twice the size, so that a larger message of another libnats would end in zeros of ours.
        guard let memory = calloc(2, MemoryLayout<slotstream_nats_message>.size),
            let headerBytes = strdup("NATS/1.0\r\nName: value\r\n\r\n")
        else { return false }
        defer { free(headerBytes) }
        let message = memory.assumingMemoryBound(to: slotstream_nats_message.self)
        message.pointee.header_bytes = headerBytes
        message.pointee.header_length = Int32(strlen(headerBytes))
        message.pointee.flags = Int32(SLOTSTREAM_NATS_HEADERS_UNREAD)
        let pointer = OpaquePointer(message)
        var value: UnsafePointer<CChar>?
        let isRead = natsMsgHeader_Get(pointer, "Name", &value) == NATS_OK && value.map { strcmp($0, "value") } == 0
        natsMsg_Destroy(pointer)
        return isRead
    }
}
