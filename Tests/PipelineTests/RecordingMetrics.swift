import CoreMetrics
import Synchronization

/// Keeps the value of every series by `name{label=value,…}`; a recorder counts as its last value.
final class RecordingMetrics: MetricsFactory, Sendable {
    private let values = Mutex<[String: Double]>([:])

    var series: [String: Double] { values.withLock { $0 } }

    private func handler(_ label: String, _ dimensions: [(String, String)]) -> Handler {
        let labels = dimensions.map { "\($0)=\($1)" }.joined(separator: ",")
        let name = label + (labels.isEmpty ? "" : "{\(labels)}")
        values.withLock { $0[name] = $0[name] ?? 0 }
        return Handler { change in self.values.withLock { $0[name] = change($0[name] ?? 0) } }
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { handler(label, dimensions) }

    func makeFloatingPointCounter(label: String, dimensions: [(String, String)]) -> any FloatingPointCounterHandler {
        handler(label, dimensions)
    }

    func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler { handler(label, dimensions) }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        handler(label, dimensions)
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { handler(label, dimensions) }

    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    func destroyMeter(_ handler: any MeterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private final class Handler: CounterHandler, FloatingPointCounterHandler, MeterHandler, RecorderHandler,
        TimerHandler
    {
        private let change: @Sendable (_ by: (Double) -> Double) -> Void

        init(_ change: @escaping @Sendable (_ by: (Double) -> Double) -> Void) { self.change = change }

        func increment(by amount: Int64) { change { $0 + Double(amount) } }
        func increment(by amount: Double) { change { $0 + amount } }
        func reset() { change { _ in 0 } }
        func set(_ value: Int64) { change { _ in Double(value) } }
        func set(_ value: Double) { change { _ in value } }
        func decrement(by amount: Double) { change { $0 - amount } }
        func record(_ value: Int64) { change { _ in Double(value) } }
        func record(_ value: Double) { change { _ in value } }
        func recordNanoseconds(_ duration: Int64) { change { _ in Double(duration) } }
    }
}
