import Foundation
import Testing

@testable import JetStreamPublishing

/// Something the tests' own machinery could not do.
struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Waits until `condition` holds, for `timeout` at most.
func eventually(
    _ what: String, timeout: Duration = .seconds(20), _ condition: () throws -> Bool
) throws {
    let deadline = ContinuousClock.now + timeout
    while try !condition() {
        guard ContinuousClock.now < deadline else { throw TestFailure("not in time: \(what)") }
        usleep(2_000)
    }
}

/// A new folder that nobody else uses.
func temporaryFolder(_ name: String) throws -> URL {
    let folder = FileManager.default.temporaryDirectory.appendingPathComponent("\(name)-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    return folder
}

/// Runs a program and returns what it wrote to stdout.
@discardableResult
func shell(_ path: String, _ arguments: [String], input: Data? = nil) throws -> String {
    String(decoding: try run(path, arguments), as: UTF8.self)
}

/// Runs a program and returns the bytes that it wrote to stdout.
func run(_ path: String, _ arguments: [String]) throws -> Data {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    let output = Pipe()
    process.standardOutput = output
    process.standardError = FileHandle.nullDevice
    try process.run()
    let data = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
        throw TestFailure("\(path) \(arguments) ended with \(process.terminationStatus)")
    }
    return data
}

/// A TCP socket on the loopback; -1 where the call failed.
private func loopback(_ port: UInt16, _ call: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32) -> Int32 {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            call(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
    }
    guard status == 0 else {
        close(descriptor)
        return -1
    }
    return descriptor
}

/// Whether somebody listens on `port`.
func canConnect(_ port: UInt16) -> Bool {
    let descriptor = loopback(port, connect)
    guard descriptor >= 0 else { return false }
    close(descriptor)
    return true
}

/// A socket that listens on `port` and never answers; the caller closes it.
func listener(_ port: UInt16) throws -> Int32 {
    let descriptor = loopback(port, bind)
    guard descriptor >= 0, listen(descriptor, 8) == 0 else { throw TestFailure("cannot listen on \(port)") }
    return descriptor
}
