import Console
import Pipeline

extension Output {
    /// Says why a command takes its time.
    static func doubt(_ what: String) { error("reading the stream again, to be sure: \(what)\n") }

    /// Says for what PostgreSQL waits while it makes a slot.
    static func slotWait(_ wait: SlotWait) {
        let holders = wait.lines.map { "  \($0)\n" }.joined()
        error("\(SlotWait.what): waiting for them\n\(holders)  To see them: \(SlotWait.query);\n")
    }

    /// Says what became of what a setup had made before it failed; why it failed is told after that.
    static func failure(_ report: SetupUndoing.Report) {
        for object in report.undone { error("undone: \(object)\n") }
        for object in report.left { error("still there: \(object)\n") }
        if report.goesOn { error("Run `slotstream setup` again: setup goes on with what is there.\n") }
    }
}
