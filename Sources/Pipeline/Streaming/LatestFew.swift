/// The latest few of something: the newest takes the place of the oldest.
struct LatestFew<Element: Sendable>: Sendable {
    private let limit: Int
    private var elements: [Element] = []
    /// Where the next goes, once there are `limit`.
    private var next = 0

    init(limit: Int) { self.limit = limit }

    /// Oldest first.
    var inOrder: [Element] { Array(elements[next...] + elements[..<next]) }

    var newest: Element? { elements.isEmpty ? nil : elements[(next + elements.count - 1) % elements.count] }

    mutating func append(_ element: Element) {
        guard elements.count == limit else { return elements.append(element) }
        elements[next] = element
        next = (next + 1) % limit
    }

    /// Puts `element` in the place of the newest.
    mutating func replaceNewest(by element: Element) {
        guard !elements.isEmpty else { return append(element) }
        elements[(next + elements.count - 1) % elements.count] = element
    }
}
