import Glibc

/// Descriptors 0 to 2, which a process may be started without.
package enum StandardDescriptors {
    /// Opens /dev/null for those that are closed: the next socket would take their numbers, and what is printed would go to a server.
    ///
    /// The other way round than they are used, so that reading and writing fails, as on a closed one.
    package static func fill() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) < 0 {
            _ = open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY)
        }
    }
}
