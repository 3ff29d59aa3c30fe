/// How often and for how long a slot is looked at.
enum SlotLook {
    /// The server's view of the slot is read this often, for `/status` and the metrics.
    static let interval = Duration.seconds(5)
    /// How long a look may take: nothing is read meanwhile.
    static let timeout = Duration.seconds(2)
}
