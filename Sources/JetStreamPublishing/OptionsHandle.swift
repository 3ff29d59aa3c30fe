import CNats
import Glibc

/// Owns `natsOptions` made from ours; `natsConnection_Connect` takes a copy of them.
struct OptionsHandle: ~Copyable, @unchecked Sendable {
    // Sendable because it is written while it is made and then has one owner.
    let pointer: OpaquePointer

    private init(_ pointer: OpaquePointer) { self.pointer = pointer }

    deinit { natsOptions_Destroy(pointer) }

    /// libnats' form of `options`; `registration` is what callbacks find their state by.
    static func make(
        _ options: JetStreamConnectionOptions, registration: UInt
    ) throws(JetStreamError) -> OptionsHandle {
        guard !options.urls.isEmpty else { throw .configuration("transport.nats.url names no server") }
        var urls: [ServerURL] = []
        for text in options.urls { urls.append(try ServerURL(text)) }
        var pointer: OpaquePointer?
        try NatsStatus.check(natsOptions_Create(&pointer), "options")
        guard let pointer else { throw .client(status: "no options", operation: "options") }
        let handle = OptionsHandle(pointer)
        try handle.setServers(urls)
        try handle.setTimes(options)
        try handle.setCallbacks(registration)
        try handle.setCredentials(options, try credentials(urls), registration)
        try handle.setTLS(options.tls, isWanted: urls.contains(where: \.isTLS))
        try handle.check(natsOptions_SetName(pointer, ConnectProtocol.escaped(options.name)))
        try handle.check(natsOptions_SetNoEcho(pointer, options.noEcho))
        return handle
    }

    private func setServers(_ urls: [ServerURL]) throws(JetStreamError) {
        let copies = urls.map { strdup($0.text) }
        defer { for copy in copies { free(copy) } }
        var pointers = copies.map { UnsafePointer($0) }
        try check(natsOptions_SetServers(pointer, &pointers, CInt(pointers.count)))
        // The order given is the order wanted.
        try check(natsOptions_SetNoRandomize(pointer, true))
    }

    private func setTimes(_ options: JetStreamConnectionOptions) throws(JetStreamError) {
        try check(natsOptions_SetTimeout(pointer, max(1, options.connectTimeout.wholeMilliseconds)))
        try check(natsOptions_SetPingInterval(pointer, max(1, options.pingInterval.wholeMilliseconds)))
        try check(natsOptions_SetMaxPingsOut(pointer, CInt(clamping: options.pingsOutstandingLimit)))
        try check(natsOptions_SetWriteDeadline(pointer, max(1, options.writeDeadline.wholeMilliseconds)))
        try check(natsOptions_SetIOBufSize(pointer, CInt(clamping: options.writeBufferByteCount)))
        try check(natsOptions_SetMaxReconnect(pointer, -1))
        try check(natsOptions_SetReconnectWait(pointer, max(1, options.reconnectWait.wholeMilliseconds)))
        let jitter = options.reconnectJitter.wholeMilliseconds
        try check(natsOptions_SetReconnectJitter(pointer, jitter, jitter))
        // Nothing is kept to be sent after a reconnect: it would be sent with a hole before it.
        try check(natsOptions_SetReconnectBufSize(pointer, 0))
    }

    private func setCallbacks(_ registration: UInt) throws(JetStreamError) {
        let closure = CallbackRegistry.closure(registration)
        try check(natsOptions_SetDisconnectedCB(pointer, CallbackRegistry.disconnected, closure))
        try check(natsOptions_SetReconnectedCB(pointer, CallbackRegistry.reconnected, closure))
        try check(natsOptions_SetClosedCB(pointer, CallbackRegistry.closed, closure))
        try check(natsOptions_SetErrorHandler(pointer, CallbackRegistry.failed, closure))
    }

    private func setCredentials(
        _ options: JetStreamConnectionOptions, _ inURL: ServerURL.Credentials?, _ registration: UInt
    ) throws(JetStreamError) {
        switch (options.credentials, inURL) {
        case (.none, nil):
            break
        case (.none, .user(let user, let password)):
            try setUser(user, password)
        case (.none, .token(let token)):
            try check(natsOptions_SetToken(pointer, ConnectProtocol.escaped(token)))
        case (.credentialsFile(let path), _):
            // Read here too, so that a missing file is told apart from a refusal.
            _ = try SecretFile.read(path)
            try check(natsOptions_SetUserCredentialsFromFiles(pointer, path, nil))
        case (.nkeySeedFile(let path), _):
            try check(natsOptions_SetNKeyFromSeed(pointer, try NKey.publicKey(seedFile: path), path))
        case (.user(let user, let passwordFile), _):
            try setUser(user, try SecretFile.read(passwordFile))
        case (.tokenFile(let path), _):
            _ = try SecretFile.read(path)
            try check(
                natsOptions_SetTokenHandler(pointer, CallbackRegistry.token, CallbackRegistry.closure(registration)))
        }
    }

    private func setUser(_ user: String, _ password: String) throws(JetStreamError) {
        try check(
            natsOptions_SetUserInfo(pointer, ConnectProtocol.escaped(user), ConnectProtocol.escaped(password)))
    }

    private func setTLS(_ tls: JetStreamConnectionOptions.TLS, isWanted: Bool) throws(JetStreamError) {
        guard isWanted || tls != JetStreamConnectionOptions.TLS() else { return }
        try check(natsOptions_SetSecure(pointer, true))
        if let caFile = tls.caFile {
            try checkFile(natsOptions_LoadCATrustedCertificates(pointer, caFile), caFile)
        }
        switch (tls.certificateFile, tls.keyFile) {
        case (nil, nil):
            break
        case (let certificateFile?, let keyFile?):
            try checkFile(natsOptions_LoadCertificatesChain(pointer, certificateFile, keyFile), certificateFile)
        case (_?, nil), (nil, _?):
            throw .configuration("certificate_file and key_file need each other")
        }
    }

    /// The credentials that stand in the URLs; one for all.
    private static func credentials(_ urls: [ServerURL]) throws(JetStreamError) -> ServerURL.Credentials? {
        let all = Set(urls.compactMap(\.credentials))
        guard all.count <= 1 else { throw .configuration("the URLs carry different credentials") }
        return all.first
    }

    private func check(_ status: natsStatus) throws(JetStreamError) {
        guard status != NATS_OK else { return }
        throw .configuration(NatsStatus.text(status))
    }

    private func checkFile(_ status: natsStatus, _ path: String) throws(JetStreamError) {
        guard status != NATS_OK else { return }
        throw .tls("\(path): \(NatsStatus.text(status))")
    }
}

extension JetStreamConnectionOptions {
    /// The token's file, if that is how we say who we are.
    var tokenFile: String? {
        if case .tokenFile(let path) = credentials { path } else { nil }
    }
}
