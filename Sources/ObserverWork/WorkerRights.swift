/// What a worker's user in NATS needs: a block for nats-server's configuration.
///
/// Each line is needed, and no other, on nats-server 2.9.10 and 2.15.1: a test reads the page's block, which is this one.
package struct WorkerRights: Sendable {
    private let configuration: WorkerConfiguration

    init(_ configuration: WorkerConfiguration) { self.configuration = configuration }

    /// The block, line by line.
    package var lines: [String] {
        let stream = configuration.stream
        let consumer = configuration.consumer
        let dead = configuration.deadStream
        let advisories = configuration.advisoryStream
        let publish: [(subject: String, why: String?)] = [
            ("$JS.API.STREAM.INFO.\(stream)", nil), ("$JS.API.STREAM.MSG.GET.\(stream)", "the events that advisories name"),
            ("$JS.API.CONSUMER.INFO.\(stream).\(consumer)", nil), ("$JS.API.CONSUMER.MSG.NEXT.\(stream).\(consumer)", nil),
            ("$JS.ACK.\(stream).\(consumer).>", nil), ("\(dead).>", "dead letters"), ("$JS.API.STREAM.INFO.\(dead)", nil),
            ("$JS.API.STREAM.MSG.GET.\(dead)", nil), ("$JS.API.CONSUMER.CREATE.\(dead)", "dead list, and --all"),
            ("$JS.API.CONSUMER.MSG.NEXT.\(dead).*", nil), ("$JS.API.CONSUMER.DELETE.\(dead).*", nil),
            ("$JS.API.STREAM.MSG.DELETE.\(dead)", "dead retry, dead drop"), ("$JS.API.STREAM.INFO.\(advisories)", nil),
            ("$JS.API.CONSUMER.INFO.\(advisories).\(consumer)", nil), ("$JS.API.CONSUMER.MSG.NEXT.\(advisories).\(consumer)", nil),
            ("$JS.ACK.\(advisories).\(consumer).>", nil),
            ("$KV.slotstream.\(configuration.recordKey)", "the lease, and what the consumer has"), ("$JS.API.STREAM.INFO.KV_slotstream", nil),
            ("$JS.API.STREAM.MSG.GET.KV_slotstream", nil),
        ]
        let once = [
            "$JS.API.CONSUMER.DURABLE.CREATE.\(stream).\(consumer)", "$JS.API.CONSUMER.DURABLE.CREATE.\(advisories).\(consumer)",
            "$JS.API.STREAM.CREATE.\(dead)", "$JS.API.STREAM.CREATE.\(advisories)", "$JS.API.STREAM.CREATE.KV_slotstream",
        ]
        let width = 54
        let lines = publish.map { subject, why in
            let quoted = "        \"\(subject)\""
            guard let why else { return quoted }
            return quoted + String(repeating: " ", count: max(2, width + 8 - quoted.utf8.count)) + "# \(why)"
        }
        return ["  # The observer worker: slotstream-observer", "  { user: slotstream_observer, password: \"PASSWORD\", permissions: {", "      publish: ["]
            + lines + ["        # Only until the first setup is done"] + once.map { "        \"\($0)\"" }
            + ["      ]", "      subscribe: [\"_INBOX.>\"]", "  } }"]
    }
}

extension WorkerConfiguration {
    /// What its user in NATS may do.
    package var rights: WorkerRights { WorkerRights(self) }
}
