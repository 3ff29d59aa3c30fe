internal import CCurl
internal import Glibc

extension EasyHandle {
    /// Lets libcurl write into `record`, which has to live until ``reset()``: C holds a pointer that does not keep it alive.
    func attach(_ record: TransferRecord) throws(OutboundError) {
        let pointer = UnsafeRawPointer(Unmanaged.passUnretained(record).toOpaque())
        try check(slotstream_curl_set_bytes_callback(handle, CURLOPT_HEADERFUNCTION, headCallback), CURLOPT_HEADERFUNCTION)
        try set(CURLOPT_HEADERDATA, pointer: pointer)
        try check(slotstream_curl_set_bytes_callback(handle, CURLOPT_WRITEFUNCTION, bodyCallback), CURLOPT_WRITEFUNCTION)
        try set(CURLOPT_WRITEDATA, pointer: pointer)
        try check(slotstream_curl_set_bytes_callback(handle, CURLOPT_READFUNCTION, uploadCallback), CURLOPT_READFUNCTION)
        try set(CURLOPT_READDATA, pointer: pointer)
        try check(slotstream_curl_set_socket_callback(handle, socketCallback), CURLOPT_OPENSOCKETFUNCTION)
        try set(CURLOPT_OPENSOCKETDATA, pointer: pointer)
        try check(slotstream_curl_set_progress_callback(handle, progressCallback), CURLOPT_XFERINFOFUNCTION)
        try set(CURLOPT_XFERINFODATA, pointer: pointer)
        try set(CURLOPT_NOPROGRESS, false)
    }
}

/// The record that ``EasyHandle/attach(_:)`` gave to libcurl.
private func record(_ pointer: UnsafeMutableRawPointer?) -> TransferRecord? {
    pointer.map { Unmanaged<TransferRecord>.fromOpaque($0).takeUnretainedValue() }
}

// Anything but the count that came ends the transfer.

private let headCallback: curl_write_callback = { bytes, size, count, pointer in
    let byteCount = size * count
    return record(pointer)?.receivedHead(UnsafeRawBufferPointer(start: bytes, count: byteCount)) == true ? byteCount : 0
}

private let bodyCallback: curl_write_callback = { bytes, size, count, pointer in
    let byteCount = size * count
    return record(pointer)?.receivedBody(UnsafeRawBufferPointer(start: bytes, count: byteCount)) == true ? byteCount : 0
}

private let uploadCallback: curl_read_callback = { bytes, size, count, pointer in
    record(pointer)?.takeUpload(into: UnsafeMutableRawBufferPointer(start: bytes, count: size * count)) ?? 0
}

private let progressCallback: curl_xferinfo_callback = { pointer, _, _, _, _ in record(pointer)?.isOverdue == false ? 0 : 1 }

/// The address here is the one that is connected to, whatever names were resolved to before: libcurl connects this very socket to it.
private let socketCallback: curl_opensocket_callback = { pointer, _, address in
    guard let record = record(pointer), let address else { return CURL_SOCKET_BAD }
    guard record.admits(IPAddress(address)) else {
        errno = EACCES
        return CURL_SOCKET_BAD
    }
    return socket(address.pointee.family, address.pointee.socktype | Int32(SOCK_CLOEXEC.rawValue), address.pointee.protocol)
}

extension IPAddress {
    /// - Returns: nil of another family.
    fileprivate init?(_ address: UnsafePointer<curl_sockaddr>) {
        guard let offset = MemoryLayout<curl_sockaddr>.offset(of: \.addr) else { return nil }
        // The structure ends in one that is as long as `addrlen` says.
        let bytes = UnsafeRawBufferPointer(start: UnsafeRawPointer(address) + offset, count: Int(address.pointee.addrlen))
        switch address.pointee.family {
        case AF_INET where bytes.count >= MemoryLayout<sockaddr_in>.size: self.init(Array(bytes[4..<8]))
        case AF_INET6 where bytes.count >= MemoryLayout<sockaddr_in6>.size: self.init(Array(bytes[8..<24]))
        default: return nil
        }
    }
}
