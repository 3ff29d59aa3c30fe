extension Configuration {
    /// `source.streaming`: whether large transactions are sent before their commit. This version takes `off` only.
    package enum StreamingMode: String, Sendable, CaseIterable {
        case off, on, parallel
    }

    /// `delivery.atomic`: whether transactions are stored as atomic batches.
    package enum AtomicMode: String, Sendable, CaseIterable {
        case off
        /// Where nats-server (2.12.1 and later) and stream can.
        case auto
    }

    /// `events.format`.
    package enum EventFormat: String, Sendable, CaseIterable {
        case slotstream, fraiseql, cloudevents
    }

    /// `events.on_poison`: what happens with a change that cannot be an event.
    package enum PoisonPolicy: String, Sendable, CaseIterable {
        /// Exit at its position; nothing is skipped.
        case stop
        /// Publish what is known of it, and why it is none, on a subject of its own.
        case quarantine
        /// Publish it without its rows; what cannot be published so is quarantined.
        case reference
    }

    /// A mask of `[events.columns.mask]`: `"hmac"`, or `"text:…"`.
    package enum ColumnMask: Sendable, Equatable {
        /// HMAC-SHA-256 under the key in `events.mask_key_file`.
        case hmac
        /// This text, whatever the value.
        case text(String)
    }

    /// `log.level`, from the most to the least talkative.
    package enum LogLevel: String, Sendable, CaseIterable {
        case trace, debug, info, notice, warning, error
    }

    /// `log.format`.
    package enum LogFormat: String, Sendable, CaseIterable {
        case text, json
    }
}
