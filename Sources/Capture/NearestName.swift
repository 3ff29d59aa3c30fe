/// What somebody who wrote an unknown name probably meant.
package enum NearestName {
    /// Names longer than this are compared with nothing: the work grows with the square.
    private static let byteCountLimit = 100

    /// The known name with the fewest edits to `name`, where that is a third of it or less; at a tie the first.
    ///
    /// A known path that ends in the unknown one counts as one edit: `nats.url` is `transport.nats.url` with its table forgotten. So does one with the
    /// same last part in another table, but after it.
    package static func nearest(to name: String, among known: [String]) -> String? {
        guard name.utf8.count <= byteCountLimit else { return nil }
        if let longer = known.first(where: { $0.hasSuffix("." + name) }) { return longer }
        let closest = known.map { (name: $0, distance: distance(name, $0)) }.min { $0.distance < $1.distance }
        if let closest, closest.distance <= max(2, name.utf8.count / 3) { return closest.name }
        guard let last = name.split(separator: ".").last else { return nil }
        return known.first { $0.hasSuffix("." + last) }
    }

    /// Levenshtein's distance, in bytes.
    package static func distance(_ left: String, _ right: String) -> Int {
        let right = Array(right.utf8)
        var row = Array(0...right.count)
        for (leftIndex, leftByte) in left.utf8.enumerated() {
            var diagonal = row[0]
            row[0] = leftIndex + 1
            for rightIndex in right.indices {
                let substituted = diagonal + (leftByte == right[rightIndex] ? 0 : 1)
                diagonal = row[rightIndex + 1]
                row[rightIndex + 1] = min(substituted, diagonal + 1, row[rightIndex] + 1)
            }
        }
        return row[right.count]
    }
}
