import CLibPQ
import Glibc
import Synchronization

/// Has the server cancel what we no longer wait for: closing a connection alone leaves its backend at work until it has something to send.
enum CancelRequest {
    /// libpq asks over a connection of its own, which may block: no more than these at a time.
    private static let limit = 8
    private static let underWay = Atomic<Int>(0)

    /// Sends the request on a thread of its own; `handle` may be closed meanwhile. Where too many are under way, it is left to the
    /// statement's own timeout.
    static func send(for handle: OpaquePointer) {
        guard underWay.add(1, ordering: .relaxed).newValue <= limit, let request = PQgetCancel(handle) else {
            underWay.subtract(1, ordering: .relaxed)
            return
        }
        var thread = pthread_t()
        let status = pthread_create(
            &thread, nil,
            { context in
                if let context {
                    // libpq's own size for such messages.
                    var message = [CChar](repeating: 0, count: 256)
                    PQcancel(OpaquePointer(context), &message, Int32(message.count))
                    PQfreeCancel(OpaquePointer(context))
                }
                CancelRequest.underWay.subtract(1, ordering: .relaxed)
                return nil
            }, UnsafeMutableRawPointer(request))
        if status == 0 {
            pthread_detach(thread)
        } else {
            PQfreeCancel(request)
            underWay.subtract(1, ordering: .relaxed)
        }
    }
}
