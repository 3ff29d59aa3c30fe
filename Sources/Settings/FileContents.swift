import FoundationEssentials

/// What reading a whole file came to.
package enum FileContents: Sendable, Equatable {
    /// All of it.
    case bytes([UInt8])
    /// Nothing has that path.
    case missing
    /// The reason in a few words: "permission denied".
    case unreadable(String)

    /// Reads the file at `path`; a relative path starts at the process's working directory.
    package static func read(_ path: String) -> FileContents {
        do {
            return .bytes([UInt8](try Data(contentsOf: URL(filePath: path))))
        } catch let error as CocoaError {
            switch error.code {
            case .fileNoSuchFile, .fileReadNoSuchFile: return .missing
            case .fileReadNoPermission: return .unreadable("permission denied")
            default: return .unreadable("not a readable file")
            }
        } catch {
            return .unreadable("not a readable file")
        }
    }
}
