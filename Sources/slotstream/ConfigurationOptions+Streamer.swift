import Console
import Settings

extension ConfigurationOptions {
    /// `http.listen` of the streamer that runs with this configuration; nil: it does not listen.
    static func endpoint(of configuration: Configuration) -> (host: String, port: Int)? {
        configuration.http.listen.map { ($0.host, $0.port) }
    }
}
