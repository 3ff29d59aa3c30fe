/// Keeps the token that was last handed to libnats, which reads it after the handler has returned and never frees it.
struct TokenMemory: ~Copyable {
    private let path: String?
    private var text: UnsafeMutableBufferPointer<CChar>?

    /// Memory for the token in the file at `path`.
    init(path: String?) { self.path = path }

    deinit { text?.deallocate() }

    /// Reads the file into new memory and frees the memory handed out before.
    mutating func read() -> UnsafePointer<CChar>? {
        text?.deallocate()
        text = nil
        guard let path, let token = try? SecretFile.read(path) else { return nil }
        let characters = ConnectProtocol.escaped(token).utf8CString
        let memory = UnsafeMutableBufferPointer<CChar>.allocate(capacity: characters.count)
        _ = memory.initialize(from: characters)
        text = memory
        return memory.baseAddress.map { UnsafePointer($0) }
    }
}
