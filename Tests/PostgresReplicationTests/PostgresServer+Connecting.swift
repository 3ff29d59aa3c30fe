import PostgresReplication
import PrivateServers

extension PostgresServer {
    /// With TLS (`\(folder)/ca.crt`, `client.crt`, `client.key`), and with roles of several kinds.
    static let shared = Result { try PostgresServer(settings: tls, preparing: certificates + roles) }

    /// In recovery, without a primary to follow; it can be promoted.
    static func standby() throws -> PostgresServer { try PostgresServer(preparing: "touch data/standby.signal") }

    /// As superuser, without TLS unless `more` says otherwise.
    func parameters(_ more: String = "") -> ConnectionParameters {
        ConnectionParameters(conninfo: conninfo(more))
    }

    func sql() throws(PostgresError) -> SQLConnection {
        try SQLConnection(parameters(), timeout: .seconds(20))
    }

    func walsender(walSenderTimeoutMilliseconds: Int? = nil) throws(PostgresError) -> ReplicationConnection {
        try ReplicationConnection(
            parameters(), walSenderTimeoutMilliseconds: walSenderTimeoutMilliseconds, timeout: .seconds(20))
    }

    private static let tls = [
        "ssl = on", "ssl_cert_file = '../server.crt'", "ssl_key_file = '../server.key'", "ssl_ca_file = '../ca.crt'",
    ]

    private static let certificates = #"""
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.crt
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.crt
        for name in server client; do
            case $name in server) subject=/CN=localhost ;; client) subject=/CN=certificate ;; esac
            openssl req -new -newkey rsa:2048 -nodes -subj $subject -keyout $name.key -out $name.csr
            printf 'subjectAltName=DNS:localhost' >$name.ext
            openssl x509 -req -in $name.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile $name.ext -out $name.crt
        done
        chmod 600 ./*.key

        """#

    private static let roles = #"""
        cat >data/pg_hba.conf <<END
        local all all trust
        hostssl all certificate 127.0.0.1/32 cert
        host all scram 127.0.0.1/32 scram-sha-256
        host all all 127.0.0.1/32 trust
        END
        "$bin/postgres" --single -D data postgres <<END
        SET password_encryption = 'scram-sha-256';
        CREATE ROLE scram LOGIN REPLICATION PASSWORD 'open:se\same''d';
        CREATE ROLE certificate LOGIN REPLICATION;
        CREATE ROLE plain LOGIN;
        CREATE ROLE german LOGIN REPLICATION;
        ALTER ROLE german SET DateStyle = 'German';
        ALTER ROLE german SET TimeZone = 'Asia/Tokyo';
        ALTER ROLE german SET IntervalStyle = 'iso_8601';
        ALTER ROLE german SET bytea_output = 'escape';
        ALTER ROLE german SET extra_float_digits = -5;
        ALTER ROLE german SET client_encoding = 'LATIN1';
        ALTER ROLE german SET idle_session_timeout = '1h';
        ALTER ROLE german SET lc_monetary = 'C';
        ALTER ROLE german SET statement_timeout = '5s';
        ALTER ROLE german SET lock_timeout = '5s';
        ALTER ROLE german SET idle_in_transaction_session_timeout = '5s';
        ALTER ROLE german SET tcp_user_timeout = '5s';
        ALTER ROLE german SET quote_all_identifiers = on;
        ALTER ROLE german SET array_nulls = off;
        ALTER ROLE german SET xmloption = 'document';
        ALTER ROLE german SET transform_null_equals = on;
        ALTER ROLE german SET default_transaction_read_only = on;
        ALTER ROLE german SET default_transaction_isolation = 'serializable';
        ALTER ROLE german SET default_transaction_deferrable = on;
        ALTER ROLE german SET synchronous_commit = off;
        ALTER ROLE german SET exit_on_error = on;
        ALTER ROLE german SET client_min_messages = 'error';
        ALTER ROLE german SET search_path = public, pg_catalog;
        END
        """#
}
