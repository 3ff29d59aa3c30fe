/// One thing that is wrong with a configuration: where, what, and what would be right. It holds no secret.
package struct Complaint: Sendable, Equatable {
    /// What is wrong. Values in it are in TOML's notation, with secrets as `***`.
    package enum Problem: Sendable, Equatable {
        /// The configuration file was named and is not there.
        case fileMissing
        /// The configuration file cannot be read; the reason.
        case fileUnreadable(String)
        /// The configuration file is FraiseQL's own, of its server; the names in it that tell.
        case fraiseQLServerFile([String])
        /// The configuration file is no TOML.
        case syntax(column: Int, message: String)
        /// With the known name that is nearest, if one is near.
        case unknownKey(nearest: String?)
        /// With the known name that is nearest, if one is near.
        case unknownVariable(nearest: String?)
        /// A variable for a table whose keys the user chooses.
        /// A value where a table belongs.
        case notATable
        /// A value that breaks its key's rule; `allowed` completes "must be …".
        case badValue(shown: String, allowed: String)
        /// A list with brackets and quotes where it is a text with commas; how it is written instead.
        case bracketedList(shown: String, instead: String)
        /// A value of the contract that this version cannot serve.
        case notInThisVersion(shown: String, allowed: String)
        /// `${NAME}` without a default, and the environment has no such name.
        case variableUnset(String)
        /// A `${` that does not begin a variable.
        case variableMalformed
        /// The file that the key names cannot be read; the path and the reason.
        case keyFileUnreadable(path: String, reason: String)
        /// Two keys that exclude each other; the other one.
        case excludes(String)
        /// A key that means nothing without another; the other one.
        case needs(String)
        /// A flag with a password in it.
        case secretInFlag
        /// Said by whoever knows the rules of a part of the file.
        case other(String)
    }

    /// Where the value stands.
    package let origin: ValueOrigin
    /// The key's path, or the variable's name; empty where the whole file is meant.
    package let key: String
    /// What is wrong there.
    package let problem: Problem

    /// Takes all three as they are.
    package init(origin: ValueOrigin, key: String, problem: Problem) {
        self.origin = origin
        self.key = key
        self.problem = problem
    }
}

extension Complaint: CustomStringConvertible {
    /// One line: `slotstream.toml:4: log.level = "loud": must be one of …`.
    package var description: String {
        let place = "\(origin): "
        switch problem {
        case .fileMissing: return place + "no such file"
        case .fileUnreadable(let reason): return place + "cannot be read: \(reason)"
        case .fraiseQLServerFile(let names):
            return place
                + "this is the configuration of FraiseQL's server (\(names.joined(separator: ", "))), and has nothing for Slotstream. "
                + "Give Slotstream's own file: --config slotstream.toml, or --config fraiseql-observer.toml"
        case .syntax(let column, let message): return place + "column \(column): \(message)"
        case .unknownKey(let nearest): return place + key + ": unknown key" + Self.suggestion(nearest)
        case .unknownVariable(let nearest): return place + "unknown variable" + Self.suggestion(nearest)
        case .notATable: return place + "\(key): must be a table"
        case .badValue(let shown, let allowed): return place + "\(key) = \(shown): must be \(allowed)"
        case .bracketedList(let shown, let instead):
            return place + "\(key) = \(shown): write the list without brackets and quotes: \(instead)"
        case .notInThisVersion(let shown, let allowed):
            return place + "\(key) = \(shown): not in this version, which takes \(allowed) only"
        case .variableUnset(let name):
            return place + "\(key): the variable \(name) is not set; set \(name), or write ${\(name):-default}"
        case .variableMalformed: return place + "\(key): ${ must begin ${NAME} or ${NAME:-default}"
        case .keyFileUnreadable(let path, let reason):
            return place + "\(key) = \(ShownValue.quoted(path)): the file cannot be read: \(reason)"
        case .excludes(let other): return place + "\(key) and \(other) exclude each other: remove one"
        case .needs(let other): return place + "\(key) needs \(other) as well"
        case .other(let what): return place + "\(key): \(what)"
        case .secretInFlag:
            return place
                + "\(key) contains a password, which every user of this machine can see in the list of processes: "
                + "set \(key) in the environment or in a file"
        }
    }

    private static func suggestion(_ nearest: String?) -> String {
        nearest.map { "; did you mean \($0)?" } ?? ""
    }
}

extension Complaint: Comparable {
    /// The file's first, by line; then the environment's and the command line's, by name.
    package static func < (left: Complaint, right: Complaint) -> Bool {
        (left.rank, left.line, left.description) < (right.rank, right.line, right.description)
    }

    private var rank: Int {
        switch origin {
        case .file: 0
        case .contents: 1
        case .environment: 2
        case .flag: 3
        case .defaultValue: 4
        }
    }

    private var line: Int {
        if case .file(_, let line?) = origin { return line }
        return 0
    }
}
