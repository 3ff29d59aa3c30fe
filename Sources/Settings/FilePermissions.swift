import Glibc

/// Who may read a file.
package enum FilePermissions {
    /// Whether users other than the file's owner and group can read the file at `path`; false where there is none.
    ///
    /// A folder that they cannot enter keeps them from it, whatever the file's own mode is.
    package static func areOpenToOthers(_ path: String) -> Bool {
        guard let real = realpath(path, nil) else { return false }
        defer { free(real) }
        var rest = String(cString: real)
        guard mode(rest).map({ $0 & S_IROTH != 0 }) ?? false else { return false }
        while let slash = rest.lastIndex(of: "/"), slash > rest.startIndex {
            rest = String(rest[..<slash])
            guard mode(rest).map({ $0 & S_IXOTH != 0 }) ?? false else { return false }
        }
        return true
    }

    private static func mode(_ path: String) -> mode_t? {
        var status = stat()
        return stat(path, &status) == 0 ? status.st_mode : nil
    }
}
