import History
import Threads

extension StreamerError {
    /// Runs what the operating system may refuse; its error becomes `.system`.
    static func ofSystem<Value: ~Copyable>(
        _ body: () throws(SystemError) -> Value
    ) throws(StreamerError) -> Value {
        do throws(SystemError) {
            return try body()
        } catch {
            throw .system(error.message)
        }
    }
}
