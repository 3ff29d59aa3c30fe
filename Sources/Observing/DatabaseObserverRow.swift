/// A row of FraiseQL's table `tb_observer` that is enabled or not, and not deleted.
package struct DatabaseObserverRow: Sendable, Equatable {
    /// `name`
    package var name: String
    /// `description`
    package var description: String?
    /// `entity_type`; nil: all.
    package var entityType: String?
    /// `event_type`; nil: INSERT, which is what FraiseQL's server makes of it.
    package var eventType: String?
    /// `condition_expression`
    package var conditionExpression: String?
    /// `actions`, each as JSON; where the column is one JSON array, its text alone.
    package var actions: [String]
    /// `enabled`
    package var isEnabled = true
    /// `priority`
    package var priority = ObserverDefinition.defaultPriority
    /// `retry_config` as JSON; nil: the defaults.
    package var retryConfig: String?
    /// `timeout_ms`
    package var timeoutMilliseconds = 30_000

    /// Takes these as they are, and the rest as where nothing is said.
    package init(name: String, actions: [String]) {
        self.name = name
        self.actions = actions
    }

    /// What the row defines.
    package struct Reading: Sendable {
        /// nil: it has a mistake.
        package let definition: ObserverDefinition?
        /// All there are; their paths begin `tb_observer.NAME`.
        package let mistakes: [ObserverMistake]
        /// What is right and reads otherwise than somebody may think.
        package let notes: [String]
    }

    /// Reads the row.
    /// - Parameters:
    ///   - environment: What `…_env` keys name.
    ///   - livePrefix: The prefix of the subjects that the streamer writes, where nobody else may publish.
    ///   - hasMailServer: Whether the file has `[observers.runtime.email]`.
    package func read(environment: [String: String], livePrefix: String, hasMailServer: Bool) -> Reading {
        var reader = ObserverReader(source: .database, environment: environment, livePrefix: livePrefix)
        reader.hasMailServer = hasMailServer
        reader.readRow(self)
        return Reading(definition: reader.sorted.first, mistakes: reader.mistakes, notes: reader.notes)
    }
}
