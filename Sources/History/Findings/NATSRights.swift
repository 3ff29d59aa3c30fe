/// What the users of NATS may do: every subject that the program publishes to, as nats-server's own trace of each command shows them.
package struct NATSRights: Sendable {
    /// A subject, and what it is for.
    struct Right: Sendable {
        var subject: String
        var use: String?

        init(_ subject: String, _ use: String? = nil) {
            self.subject = subject
            self.use = use
        }
    }

    private let stream: String
    private let prefix: String
    private let consumer: String?

    /// - Parameter consumer: The configured durable one; nil: none.
    package init(stream: String, prefix: String, consumer: String?) {
        self.stream = stream
        self.prefix = prefix
        self.consumer = consumer
    }

    /// Beside the events and the record: without one of these the streamer streams all the same. The subject, and what is missed.
    package var lesser: [(subject: String, consequence: String)] {
        [
            ("$KV.slotstream.\(stream).last_stop", "`slotstream status` does not know when and why the streamer stopped"),
            ("$KV.slotstream.\(stream).backfill", "nobody can ask for a backfill"),
            ("$JS.API.CONSUMER.LIST.\(stream)", "nobody is told of a consumer that is about to miss events"),
            ("$JS.API.CONSUMER.CREATE.\(stream).slotstream_headers", "a comparison after a crash reads one message after the other"),
            ("$JS.API.INFO", "the room of the account is not known"),
        ]
    }

    private var streaming: [Right] {
        [
            Right("\(prefix).>", "events and markers"),
            Right("$KV.slotstream.\(stream)", "the checkpoint record"),
            Right("$KV.slotstream.\(stream).last_stop", "why the streamer stopped"),
            Right("$KV.slotstream.\(stream).backfill", "backfill"),
            Right("$JS.API.STREAM.INFO.\(stream)"),
            Right("$JS.API.STREAM.MSG.GET.\(stream)"),
            Right("$JS.API.STREAM.INFO.KV_slotstream"),
            Right("$JS.API.STREAM.MSG.GET.KV_slotstream"),
            Right("$JS.API.CONSUMER.LIST.\(stream)", "consumers that are about to miss events"),
            Right("$JS.API.CONSUMER.CREATE.\(stream).slotstream_headers", "to read many headers at once after a crash"),
            Right("$JS.API.CONSUMER.MSG.NEXT.\(stream).slotstream_headers"),
            Right("$JS.API.CONSUMER.DELETE.\(stream).slotstream_headers"),
            Right("$JS.API.STREAM.LEADER.STEPDOWN.\(stream)", "nats-server 2.10 and 2.11 with replicas"),
            Right("$JS.API.INFO", "the account's limits"),
            Right("$JS.API.STREAM.LIST", "check: streams that source from this one"),
            Right("$JS.API.CONSUMER.CREATE.\(stream)", "tail, replay, verify"),
            Right("$JS.API.CONSUMER.MSG.NEXT.\(stream).*"),
        ] + (consumer.map { [Right("$JS.API.CONSUMER.INFO.\(stream).\($0)")] } ?? [])
    }

    private var settingUp: [Right] {
        [
            Right("$JS.API.STREAM.CREATE.\(stream)"),
            Right("$JS.API.STREAM.CREATE.KV_slotstream"),
            Right("$JS.API.STREAM.NAMES"),
            Right("$JS.API.STREAM.CREATE.slotstream_dry_run", "setup --dry-run, check --before-start"),
            Right("$JS.API.STREAM.DELETE.slotstream_dry_run"),
        ] + (consumer.map { [Right("$JS.API.CONSUMER.DURABLE.CREATE.\(stream).\($0)")] } ?? [])
    }

    private var looking: [Right] {
        [
            Right("$JS.API.STREAM.INFO.\(stream)"),
            Right("$JS.API.STREAM.MSG.GET.\(stream)"),
            Right("$JS.API.STREAM.MSG.GET.KV_slotstream"),
            Right("$JS.API.CONSUMER.LIST.\(stream)"),
            Right("$JS.API.CONSUMER.CREATE.\(stream)"),
            Right("$JS.API.CONSUMER.MSG.NEXT.\(stream).*"),
        ]
    }

    private func consuming(_ consumer: String) -> [Right] {
        [
            Right("$JS.API.CONSUMER.INFO.\(stream).\(consumer)"),
            Right("$JS.API.CONSUMER.MSG.NEXT.\(stream).\(consumer)"),
            Right("$JS.ACK.\(stream).\(consumer).>"),
        ]
    }

    /// All that a streamer's user may do, for the user's line.
    package var permissions: String {
        let subjects = (streaming + settingUp).map { "\"\($0.subject)\"" }.joined(separator: ", ")
        return "permissions: { publish: [\(subjects)], subscribe: [\"_INBOX.>\"] }"
    }

    /// The users for nats-server's configuration: the streamer, somebody who looks, and the consumer's program.
    package var block: String {
        var lines = [
            "# The rights of Slotstream's users in NATS: stream \(stream), prefix \(prefix)" + (consumer.map { ", consumer \($0)" } ?? "") + ".",
            "# Paste the users into the account's block in nats-server's configuration, which has `jetstream: enabled`,",
            "# and set the passwords. Then: nats-server --signal reload",
            "users: [",
        ]
        lines += ["  # Every command of slotstream"]
        let width = (streaming + settingUp).filter { $0.use != nil }.map { $0.subject.count + 2 }.max() ?? 0
        lines += user(
            "slotstream", self.lines(streaming, width) + ["        # Only until the first setup is done"] + self.lines(settingUp, width))
        lines += ["  # Somebody who only looks: slotstream tail, status, verify"]
        lines += user("slotstream_reader", self.lines(looking, width))
        if let consumer {
            lines += ["  # A program that reads the consumer \(consumer)"]
            lines += user(consumer, self.lines(consuming(consumer), width))
        }
        return (lines + ["]"]).joined(separator: "\n")
    }

    private func user(_ name: String, _ subjects: [String]) -> [String] {
        ["  { user: \(name), password: \"PASSWORD\", permissions: {", "      publish: ["] + subjects
            + ["      ]", "      subscribe: [\"_INBOX.>\"]", "  } }"]
    }

    private func lines(_ rights: [Right], _ width: Int) -> [String] {
        rights.map { right in
            let quoted = "\"\(right.subject)\""
            guard let use = right.use else { return "        \(quoted)" }
            return "        \(quoted)\(String(repeating: " ", count: max(0, width - quoted.count)))   # \(use)"
        }
    }
}
