import Glibc

/// The resident pages of our own code and of the libraries'.
///
/// Starting touches nearly all of it once, an answer over HTTP a good part, and for each page that is touched the kernel maps sixteen: some 25 MB, of which a stream at work needs a third.
public enum CodePages {
    private static let mapsByteCountLimit = 256 * 1024

    /// What was loaded at the first call. Empty where /proc is not mounted.
    private static let ranges: [Range<UInt>] = {
        let descriptor = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16 * 1024)
        while text.count < mapsByteCountLimit {
            let count = read(descriptor, &part, part.count)
            guard count > 0 else { break }
            text += part[..<count]
        }
        return text.split(separator: UInt8(ascii: "\n")).compactMap(codeRange)
    }()

    /// Gives back what is resident: what is touched again is mapped again, from the file's cached pages. Some tens of microseconds, and as much again where they are touched.
    public static func giveBack() {
        for range in ranges {
            // Code is never written to: there is nothing in these pages that is not in the file.
            madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// The addresses of a mapping that is a file's code: `55d0c8a00000-55d0ca28f000 r-xp 00449000 fe:00 1234 /usr/bin/slotstream`.
    private static func codeRange(_ line: ArraySlice<UInt8>) -> Range<UInt>? {
        let fields = line.split(separator: UInt8(ascii: " "))
        // A path may have spaces in it.
        guard fields.count >= 6, fields[1].elementsEqual("r-xp".utf8), fields[5].first == UInt8(ascii: "/") else { return nil }
        let ends = fields[0].split(separator: UInt8(ascii: "-")).compactMap { UInt(String(decoding: $0, as: UTF8.self), radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        return ends[0]..<ends[1]
    }
}
