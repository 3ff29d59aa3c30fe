import Glibc

/// A POSIX thread that runs one function and can be waited for. Blocking C calls belong here, never on the cooperative pool.
package struct OwnedThread: ~Copyable {
    private final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }

    private let thread: pthread_t

    /// - Parameter name: For the error.
    /// - Throws: if no thread can be made.
    package init(name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        // Retained here, released by the new thread when it begins.
        let start = unsafe Unmanaged.passRetained(Start(body))
        var thread = pthread_t()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
                return nil
            }, start.toOpaque())
        guard status == 0 else {
            unsafe start.release()
            throw SystemError(message: "cannot start the thread \(name): \(unsafe String(cString: strerror(status)))")
        }
        self.thread = thread
    }

    /// Lets it end by itself.
    package consuming func detach() {
        pthread_detach(thread)
    }

    /// Waits until the function has returned.
    package consuming func join() {
        pthread_join(thread, nil)
    }
}
