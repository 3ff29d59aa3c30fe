package import ArgumentParser
import Capture
import Pipeline

/// A command that there is none of: what the parser calls an unexpected argument, told as what it is, with what was probably meant.
package enum MistypedCommand {
    /// nil: something else is wrong with these arguments. Mistyped options are the parser's own to tell.
    package static func error(in arguments: [String], of root: any ParsableCommand.Type) -> ValidationError? {
        var path = [root._commandName]
        var node = root
        for argument in arguments {
            let children = node.configuration.subcommands
            guard !argument.hasPrefix("-"), !children.isEmpty else { return nil }
            if path.count == 1, argument == "help" { return nil }
            if let child = children.first(where: { $0._commandName == argument }) {
                path.append(argument)
                node = child
                continue
            }
            let names = children.map { $0._commandName }
            let typed = ShownEvent.oneLine(argument)
            let lead = "Unknown command '\(typed)'."
            if let meant = place(of: argument, in: root) ?? nearest(to: argument, among: names).map({ path + [$0] }) {
                return ValidationError("\(lead) Did you mean '\(meant.joined(separator: " "))'?")
            }
            return ValidationError("\(lead) The commands of \(path.joined(separator: " ")): \(names.joined(separator: ", "))")
        }
        return nil
    }

    /// Without regard to case.
    private static func nearest(to name: String, among names: [String]) -> String? {
        NearestName.nearest(to: name.lowercased(), among: names)
    }

    /// Where a command of that name is, if it is another command's: `list` of `slot list`.
    private static func place(of name: String, in root: any ParsableCommand.Type) -> [String]? {
        for command in root.configuration.subcommands
        where command.configuration.subcommands.contains(where: { $0._commandName == name }) {
            return [root._commandName, command._commandName, name]
        }
        return nil
    }
}
