import Foundation
import Testing
import Threads

@testable import Pipeline

@Suite struct FilePagesTests {
    /// Kilobytes of files' code, or of what is only read, that are resident in this process.
    private static func resident(_ permissions: String) throws -> Int {
        var isCounted = false
        var total = 0
        // Of a file that says it is empty, `String(contentsOfFile:)` reads the first 4 KiB.
        let file = try #require(FileHandle(forReadingAtPath: "/proc/self/smaps"))
        let text = String(decoding: try #require(try file.readToEnd()), as: UTF8.self)
        for line in text.split(separator: "\n") {
            let fields = line.split(separator: " ")
            if fields.count > 1, fields[1].count == 4, fields[0].contains("-") {
                isCounted = fields[1] == permissions && fields.count > 5
            } else if isCounted, fields.first == "Rss:" {
                total += Int(fields[1]) ?? 0
            }
        }
        return total
    }

    @Test func whatIsOnlyReadIsGivenBackAndTheProgramGoesOn() throws {
        let before = try (Self.resident("r-xp"), Self.resident("r--p"))
        FilePages.giveBack()
        let after = try (Self.resident("r-xp"), Self.resident("r--p"))
        #expect(after.0 < before.0)
        #expect(after.1 < before.1)
        FilePages.giveBack()
        #expect((1...1000).map { String($0) }.joined().count == 2893)
    }

    /// A mapping as the kernel describes it, in the lines that matter.
    private static func mapping(_ head: String, resident: Int = 32, anonymous: Int = 0, swap: Int = 0) -> String {
        """
        \(head)
        Size:                 32 kB
        Rss:                  \(resident) kB
        Anonymous:        \(anonymous) kB
        AnonHugePages:         0 kB
        Swap:             \(swap) kB
        SwapPss:               0 kB
        VmFlags: rd mr mw me

        """
    }

    @Test func onlyWhatIsInTheFileIsGivenBack() {
        let text = [
            Self.mapping("1000-2000 r--p 00000000 fe:00 7 /usr/lib/libone.so"),
            Self.mapping("2000-3000 r-xp 00001000 fe:00 7 /usr/lib/libone.so"),
            // Filled in by the dynamic linker before it took the right to write away; and swapped out since.
            Self.mapping("3000-4000 r--p 00002000 fe:00 7 /usr/lib/libone.so", anonymous: 4),
            Self.mapping("4000-5000 r--p 00003000 fe:00 7 /usr/lib/libone.so", swap: 4),
            // Code with a debugger's breakpoint in it.
            Self.mapping("5000-6000 r-xp 00004000 fe:00 7 /usr/lib/libone.so", anonymous: 4),
            // As an emulator describes whatever there is.
            Self.mapping("5800-6000 r--p 00004800 fe:00 7 /usr/lib/libone.so", resident: 0),
            Self.mapping("6000-7000 rw-p 00005000 fe:00 7 /usr/lib/libone.so"),
            Self.mapping("7000-8000 r--s 00000000 fe:00 8 /var/lib/shared"),
            Self.mapping("8000-9000 r--p 00000000 00:00 0 "),
            Self.mapping("9000-a000 r-xp 00000000 00:00 0 [vdso]"),
            Self.mapping("a000-b000 r-xp 00000000 fe:00 9 /opt/with a space/slotstream (deleted)"),
        ].joined()
        #expect(FilePages.fileRanges(Array(text.utf8)) == [0x1000..<0x2000, 0x2000..<0x3000, 0xa000..<0xb000])
    }

    @Test func aMappingWhoseDescriptionIsCutOffIsLeftAlone() {
        let text = Array(Self.mapping("1000-2000 r--p 00000000 fe:00 7 /usr/lib/libone.so").utf8)
        for end in text.indices {
            let ranges = FilePages.fileRanges(Array(text[..<end]))
            #expect(ranges.isEmpty || (ranges == [0x1000..<0x2000] && String(decoding: text[..<end], as: UTF8.self).contains("\nSwap:             0")))
        }
        for line in ["", "1000-2000", "x-y r--p 0 0 0 /a", "2000-1000 r--p 0 0 0 /a", "1000 r--p 0 0 0 /a"] {
            #expect(FilePages.fileRanges(Array(Self.mapping(line).utf8)).isEmpty)
        }
    }
}
