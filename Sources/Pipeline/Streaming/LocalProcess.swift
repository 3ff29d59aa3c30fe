import Glibc

/// Which process of this machine a server's client is: for people who are to stop it.
enum LocalProcess {
    /// The process that has a TCP connection from `address`, an IPv4 number, and `port`; nil: it is on another machine, in another container, or another
    /// user's.
    static func connected(from address: String, port: UInt16) -> Int32? {
        var bytes = in_addr()
        guard inet_pton(AF_INET, address, &bytes) == 1 else { return nil }
        // The kernel prints the four bytes as one number of this machine's.
        let local = hexadecimal(bytes.s_addr, digitCount: 8) + ":" + hexadecimal(UInt32(port), digitCount: 4)
        guard let inode = inode(ofSocketAt: local) else { return nil }
        let link = "socket:[\(inode)]"
        return entries(of: "/proc").lazy.compactMap { Int32($0) }.first { process in
            entries(of: "/proc/\(process)/fd").contains { target(of: "/proc/\(process)/fd/\($0)") == link }
        }
    }

    /// More than a table of a hundred thousand connections takes.
    private static let tableByteLimit = 16 * 1024 * 1024

    /// Source: Linux, `Documentation/networking/proc_net_tcp.rst`.
    private static func inode(ofSocketAt local: String) -> Substring? {
        guard let file = fopen("/proc/net/tcp", "re") else { return nil }
        defer { fclose(file) }
        var text: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 * 1024)
        while text.count < tableByteLimit {
            let count = fread(&chunk, 1, chunk.count, file)
            guard count > 0 else { break }
            text += chunk[..<count]
        }
        for line in String(decoding: text, as: UTF8.self).split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 9, fields[1] == local, fields[9] != "0" { return fields[9] }
        }
        return nil
    }

    private static func hexadecimal(_ value: UInt32, digitCount: Int) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digitCount - digits.count)) + digits
    }

    /// The names in a folder; none where it may not be read.
    private static func entries(of path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { name in
                    name.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: name.pointee)) { String(cString: $0) }
                })
        }
        return names
    }

    private static func target(of path: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 64)
        let count = readlink(path, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) : nil
    }
}
