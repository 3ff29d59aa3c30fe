/// A file with a secret in it that every user of this machine can read.
package struct OpenSecret: Sendable, Equatable {
    /// The key that names the file, or the key whose value in the configuration file holds the secret.
    package let key: String
    /// As it was given or found.
    package let file: String
}

extension ConfigurationKey {
    /// The keys whose files hold a secret; authorities and certificates are for everybody to read.
    static let secretFiles: Set<String> = [
        "source.url_file", "source.cast_url_file", "transport.nats.credentials_file", "transport.nats.nkey_seed_file",
        "transport.nats.password_file", "transport.nats.token_file", "transport.nats.tls.key_file", "events.mask_key_file",
        "backfill.url_file", "observer_worker.database_url_file",
    ]
}
