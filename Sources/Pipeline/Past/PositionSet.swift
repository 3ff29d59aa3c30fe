import Capture
import WAL

/// Positions of events, sixteen bytes each: filled, then sorted, then asked.
struct PositionSet {
    private var positions: [Position] = []

    /// Asked about only after `sort()`.
    mutating func insert(_ position: Position) { positions.append(position) }

    mutating func sort() {
        // Stored order is nearly the order of positions.
        for index in positions.indices.dropFirst() where positions[index] < positions[index - 1] {
            positions.sort()
            return
        }
    }

    func contains(_ position: Position) -> Bool {
        var low = 0
        var high = positions.count
        while low < high {
            let middle = (low + high) / 2
            if positions[middle] < position { low = middle + 1 } else { high = middle }
        }
        return low < positions.count && positions[low] == position
    }
}
