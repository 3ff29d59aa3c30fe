import Glibc

/// What this process takes of the machine, as Prometheus's clients tell it. What the kernel does not tell is not known.
package enum ProcessUsage {
    /// User and system time since the start, in seconds.
    package static var processorSeconds: Double {
        var used = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used)
        return seconds(used)
    }

    /// Memory that is resident, in bytes. Source: Linux, `proc(5)`, `/proc/pid/statm`.
    package static var residentByteCount: Int? {
        field(1, of: "/proc/self/statm").flatMap { Int($0) }.map { $0 * sysconf(Int32(_SC_PAGESIZE)) }
    }

    /// When it was started, in seconds since 1970, by the clock as it was when this was asked for first. Source: Linux, `proc(5)`, `/proc/pid/stat`, `starttime`.
    package static let startSeconds: Double? = {
        // The 22nd field. The second is the name, in parentheses, and may hold anything.
        guard let text = line(of: "/proc/self/stat"), let end = text.lastIndex(of: ")") else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
        var sinceBoot = timespec(), now = timespec()
        clock_gettime(CLOCK_BOOTTIME, &sinceBoot)
        clock_gettime(CLOCK_REALTIME, &now)
        return seconds(now) - (seconds(sinceBoot) - ticks / Double(sysconf(Int32(_SC_CLK_TCK))))
    }()

    private static func seconds(_ time: timespec) -> Double { Double(time.tv_sec) + Double(time.tv_nsec) / 1e9 }

    private static func field(_ index: Int, of path: String) -> Substring? {
        guard let fields = line(of: path)?.split(separator: " "), fields.count > index else { return nil }
        return fields[index]
    }

    /// The first bytes of a file of the kernel's, which hold the one line that it has.
    private static func line(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 1024)
        let count = read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
