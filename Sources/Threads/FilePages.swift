import Glibc

/// The resident pages of our own file and of the libraries' that are only read: code, constants, and the tables by which the dynamic linker finds names.
///
/// Starting touches nearly all of it once, an answer over HTTP a good part, and for each page that is touched the kernel maps sixteen: some 30 MB, of which a stream at work needs a third.
package enum FilePages {
    private static let mapsByteCountLimit = 1024 * 1024

    /// What was loaded at the first call. Empty where /proc is not mounted.
    private static let ranges: [Range<UInt>] = {
        let descriptor = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var text: [UInt8] = []
        var part = [UInt8](repeating: 0, count: 16 * 1024)
        while text.count < mapsByteCountLimit {
            let count = read(descriptor, &part, part.count)
            guard count > 0 else { break }
            text += part[..<count]
        }
        return fileRanges(text)
    }()

    /// Gives back what is resident: what is touched again is mapped again, from the file's cached pages. Some tens of microseconds, and as much again where they are touched.
    package static func giveBack() {
        for range in ranges {
            // Nothing in these pages is not in the file.
            madvise(UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }

    /// The addresses of the mappings that are parts of files, cannot be written to and never were: of what the dynamic linker filled in before it took the right to write away, `Anonymous` or `Swap` tells.
    ///
    /// They are libraries: what is mapped for a while only could be something else's address later, and nobody does that here.
    /// - Parameter text: As in `/proc/self/smaps`. A mapping whose description is cut off is left out, and one of which nothing is resident: an emulator says so of all, and knows nothing.
    package static func fileRanges(_ text: [UInt8]) -> [Range<UInt>] {
        var ranges: [Range<UInt>] = []
        var candidate: Range<UInt>?
        var isResident = false
        var isUnwritten = false
        for line in text.split(separator: UInt8(ascii: "\n")) {
            // All lines but a mapping's first begin with a capital.
            if let first = line.first, !(UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(first) {
                candidate = fileRange(line)
                isResident = false
                isUnwritten = false
            } else if line.starts(with: "Rss:".utf8) {
                isResident = !isZero(line)
            } else if line.starts(with: "Anonymous:".utf8) {
                isUnwritten = isZero(line)
            } else if line.starts(with: "Swap:".utf8) {
                if isResident, isUnwritten, isZero(line), let candidate { ranges.append(candidate) }
            }
        }
        return ranges
    }

    /// `Swap:                  0 kB`
    private static func isZero(_ line: ArraySlice<UInt8>) -> Bool {
        line.split(separator: UInt8(ascii: " ")).dropFirst().first.map { $0.elementsEqual("0".utf8) } ?? false
    }

    /// The addresses of a mapping that is a part of a file and can only be read or run: `55d0c8a00000-55d0ca28f000 r-xp 00449000 fe:00 1234 /usr/bin/slotstream`.
    private static func fileRange(_ line: ArraySlice<UInt8>) -> Range<UInt>? {
        let fields = line.split(separator: UInt8(ascii: " "))
        // A path may have spaces in it.
        guard fields.count >= 6, fields[1].elementsEqual("r-xp".utf8) || fields[1].elementsEqual("r--p".utf8),
            fields[5].first == UInt8(ascii: "/")
        else { return nil }
        let ends = fields[0].split(separator: UInt8(ascii: "-")).compactMap { UInt(String(decoding: $0, as: UTF8.self), radix: 16) }
        guard ends.count == 2, ends[0] < ends[1] else { return nil }
        return ends[0]..<ends[1]
    }
}
