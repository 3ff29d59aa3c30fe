"""The observer worker under test: configured, started, watched, killed as the streamer is."""

from pathlib import Path

from hooks import Receiver
from orders import OrderStream
from servers.tools import observer_binary
from streamer import Streamer

SECRET = "whsec_5up3rs3cr3t-of-the-tests"

# A retry costs a test little, and no number of them is used up by what the tests do beside.
QUICK_RETRY = {"max_attempts": 6, "initial_delay_ms": 10, "max_delay_ms": 100}


def webhook(url: str, **more) -> dict:
    """An action."""
    return {"type": "webhook", "url": url} | more


def observer(*actions: dict, entity: str = "Order", event_type: str = "INSERT", **more) -> dict:
    """An observer with these actions, which retries soon."""
    return {"entity": entity, "event_type": event_type, "retry": QUICK_RETRY, "actions": list(actions)} | more


def signed_webhooks(receiver: Receiver, **more) -> dict[str, dict]:
    """An observer each for orders that are made and that are changed: a signed webhook with the row."""
    action = webhook(receiver.url(), signing_secret=SECRET)
    return {name: observer(action, event_type=kind, **more) for name, kind in (("made", "INSERT"), ("changed", "UPDATE"))}


class Worker(Streamer):
    """One `slotstream-observer` for a stream of orders, with its configuration in `folder`.

    `observers` are its `[observers.NAME]`, `overrides` go into its configuration as the streamer's do."""

    title = "the worker"

    def __init__(self, folder: Path, stream: OrderStream, observers: dict[str, dict] | None = None, overrides: dict[str, dict] | None = None,
                 environment: dict[str, str] | None = None):
        self._prepare(folder, observer_binary(), None, environment)
        self.observers = observers or {}
        tables = {
            "transport.nats": {"url": stream.url, "stream_name": stream.name, "subject_prefix": stream.prefix},
            "transport.nats.jetstream": {"replicas": stream.replicas},
            # The tests' receivers are on the loopback.
            "observer_worker": {"listen": self.http, "allow_private_hosts": True},
            "log": {"format": "json", "level": "debug"},
        }
        # It has secrets in it.
        self.config.touch(mode=0o600)
        self._configure(tables, {f"observers.{name}": values for name, values in self.observers.items()} | (overrides or {}))

    @property
    def role(self) -> str | None:
        """What `/status` says that it does: `active`, `standby`; None where it does not answer."""
        try:
            return self.status().get("role")
        except OSError:
            return None
