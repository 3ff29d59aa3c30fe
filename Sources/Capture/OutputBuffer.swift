/// Bytes being written: append-only, kept between events so that a row costs no allocation, under a cap so that one huge row does not keep its memory.
struct OutputBuffer: ~Copyable {
    /// What is kept for the next event; a buffer that grew beyond it is given back.
    static let keptByteCountLimit = 256 * 1024
    private static let initialByteCount = 16 * 1024

    /// More is not written: what comes on top is dropped, and `isOverflowing` says so.
    let byteCountLimit: Int
    private var base: UnsafeMutableRawPointer
    private var capacity: Int
    private(set) var count = 0
    /// Something did not fit: what is here is of no use.
    private(set) var isOverflowing = false

    init(byteCountLimit: Int = .max) {
        self.byteCountLimit = byteCountLimit
        capacity = min(Self.initialByteCount, byteCountLimit)
        base = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    mutating func removeAll() {
        count = 0
        isOverflowing = false
        if capacity > Self.keptByteCountLimit {
            base.deallocate()
            capacity = min(Self.initialByteCount, byteCountLimit)
            base = .allocate(byteCount: capacity, alignment: 16)
        }
    }

    /// Bytes that may still come.
    var room: Int { byteCountLimit - count }

    /// Makes room for `byteCount` more bytes; false, and the buffer overflows, if the limit forbids it.
    @inline(__always)
    mutating func reserve(_ byteCount: Int) -> Bool {
        capacity - count >= byteCount || grow(by: byteCount)
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        guard reserve(1) else { return }
        base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
        count += 1
    }

    @inline(__always)
    mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress, bytes.count > 0, reserve(bytes.count) else { return }
        (base + count).copyMemory(from: source, byteCount: bytes.count)
        count += bytes.count
    }

    @inline(__always)
    mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    @inline(__always)
    mutating func append(_ text: StaticString) {
        append(UnsafeRawBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    mutating func append(decimal value: UInt64) {
        // 20 digits are the most that 64 bits have.
        guard reserve(20) else { return }
        let digits = (base + count).assumingMemoryBound(to: UInt8.self)
        var rest = value
        var length = 0
        repeat {
            digits[length] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            length += 1
        } while rest > 0
        var low = 0
        var high = length - 1
        while low < high {
            (digits[low], digits[high]) = (digits[high], digits[low])
            low += 1
            high -= 1
        }
        count += length
    }

    /// Two lower hexadecimal digits.
    mutating func append(hexadecimal byte: UInt8) {
        append(Self.lowerHexadecimalDigit(byte >> 4))
        append(Self.lowerHexadecimalDigit(byte & 15))
    }

    private static func lowerHexadecimalDigit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "a") + value - 10
    }

    @inline(never)
    private mutating func grow(by byteCount: Int) -> Bool {
        guard byteCount <= room else {
            isOverflowing = true
            return false
        }
        let newCapacity = min(byteCountLimit, max(capacity * 2, count + byteCount))
        let newBase = UnsafeMutableRawPointer.allocate(byteCount: newCapacity, alignment: 16)
        newBase.copyMemory(from: base, byteCount: count)
        base.deallocate()
        base = newBase
        capacity = newCapacity
        return true
    }
}
