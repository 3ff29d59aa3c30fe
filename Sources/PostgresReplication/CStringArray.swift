/// Strings as C wants a list of them: one block of NUL-terminated bytes, and pointers into it. nil is a null pointer.
struct CStringArray {
    private var bytes: [CChar] = []
    private var starts: [Int?] = []

    /// The strings must not contain NUL.
    init(_ strings: [String?]) {
        for string in strings {
            guard let string else {
                starts.append(nil)
                continue
            }
            starts.append(bytes.count)
            bytes.append(contentsOf: string.utf8.lazy.map { CChar(bitPattern: $0) })
            bytes.append(0)
        }
    }

    /// Calls `body` with as many pointers as there are strings, and a null pointer after them; valid only inside `body`.
    func withPointers<R>(_ body: (UnsafePointer<UnsafePointer<CChar>?>) -> R) -> R {
        bytes.withUnsafeBufferPointer { block in
            let pointers = starts.map { start in start.flatMap { block.baseAddress?.advanced(by: $0) } } + [nil]
            return pointers.withUnsafeBufferPointer { list in
                guard let base = list.baseAddress else {
                    preconditionFailure("an array with an element has an address")
                }
                return body(base)
            }
        }
    }
}
