import Glibc
package import History

extension CheckedProcess {
    /// Reads the limits of this process.
    /// - Parameter environment: By which a pod of Kubernetes is known.
    package static func read(environment: [String: String]) -> CheckedProcess {
        var process = CheckedProcess()
        process.isInPod = environment["KUBERNETES_SERVICE_HOST"] != nil
        var limit = rlimit()
        if getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 { process.descriptorLimit = UInt64(limit.rlim_cur) }
        process.memoryLimit = memoryLimit()
        return process
    }

    /// Of the control group; nil: none.
    private static func memoryLimit() -> UInt64? {
        for path in ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"] {
            guard let file = fopen(path, "re") else { continue }
            defer { fclose(file) }
            var number: UInt64 = 0
            // `max` where there is none; version 1 has a number beyond all memory instead.
            return withUnsafeMutablePointer(to: &number) { pointer in
                withVaList([pointer]) { vfscanf(file, "%lu", $0) == 1 }
            } ? number : nil
        }
        return nil
    }
}
