"""Events as the streamer publishes them, without a database: orders that are inserted and changed, in a stream as `slotstream setup` makes it."""

import asyncio
import json
import random
import uuid
from dataclasses import dataclass, field

import stream
from administrator import Administrator

# As many are on their way to the server at once.
_BATCH = 500
_ANSWER_SECONDS = 10
_SYSTEM = "7439120938471029384.5.1"


@dataclass(slots=True)
class Order:
    """One event of an order: its number (which is in its id), which order it is of, and what happened. `more` goes into its row; `unusual`
    replaces parts of the event as it is published."""

    number: int
    entity_id: str
    operation: str = "INSERT"
    entity: str = "Order"
    more: dict = field(default_factory=dict)
    changes: dict | None = None
    unusual: dict = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The message id: by the number."""
        return f"{_SYSTEM}.{self.number}.{self.number:016X}.1"

    @property
    def row(self) -> dict:
        """The row: what a webhook gets when nothing else is asked for."""
        return {"id": self.entity_id, "n": self.number, "status": "pending", "total": 12.5} | self.more

    def body(self, form: str = "slotstream") -> bytes:
        """The event in this format."""
        moment = "2026-11-23T07:09:12.123456+00:00"
        if form == "fraiseql":
            event = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, self.id)), "event_type": _event_type(self.operation), "entity_type": self.entity,
                     "entity_id": self.entity_id, "data": self.row, "changes": self.changes, "user_id": None, "tenant_id": None, "timestamp": moment,
                     "seq": None, "cdc_source": "slotstream"}
            return json.dumps(event | self.unusual).encode()
        event = {"id": self.id, "entity_type": self.entity, "operation": self.operation, "entity_id": self.entity_id, "timestamp": moment,
                 "entity": self.row}
        if self.changes is not None:
            event["changes"] = self.changes
        event |= {"transaction": {"id": self.number, "lsn": f"0/{self.number:X}", "ordinal": 1, "last": True},
                  "source": {"database": "shop", "schema": "public", "table": "tb_order"}}
        event |= self.unusual
        if form == "cloudevents":
            event = {"specversion": "1.0", "id": self.id, "source": "/slotstream/7439120938471029384/shop",
                     "type": f"{self.entity}.{self.operation}", "subject": self.entity_id, "time": moment,
                     "datacontenttype": "application/json", "data": event}
        return json.dumps(event).encode()


def _event_type(operation: str) -> str:
    return operation if operation in ("INSERT", "UPDATE", "DELETE") else "CUSTOM"


def history(count: int, entities: int, seed: int, first: int = 1) -> list[Order]:
    """So many events of so many orders, as they come one after another from a shop: each order is inserted once and changed then."""
    choice = random.Random(seed)
    names = [str(uuid.UUID(int=choice.getrandbits(128))) for _ in range(entities)]
    met: set[str] = set()
    orders = []
    for number in range(first, first + count):
        name = choice.choice(names)
        operation = "UPDATE" if name in met else "INSERT"
        met.add(name)
        changes = {"status": {"old": "pending", "new": "paid"}} if operation == "UPDATE" else None
        orders.append(Order(number, name, operation, changes=changes))
    return orders


class OrderStream:
    """A stream of orders on servers that run."""

    def __init__(self, url: str, name: str = "fraiseql_events", prefix: str = "fraiseql.mutation", replicas: int = 1):
        self.url, self.name, self.prefix, self.replicas = url, name, prefix, replicas
        self.administrator = Administrator(url)

    def create(self, **more) -> None:
        """Makes the stream with the streamer's settings."""
        settings = {"subjects": [f"{self.prefix}.>"], "storage": "file", "num_replicas": self.replicas, "retention": "limits", "discard": "old",
                    "max_age": 7 * 86400 * 10**9, "allow_direct": True}
        self.administrator.add(self.name, **(settings | more))

    def publish(self, orders: list[Order], form: str = "slotstream") -> None:
        """Publishes them in this order, each with its id."""
        asyncio.run(self._publish(orders, form))

    async def _publish(self, orders: list[Order], form: str) -> None:
        connection = await stream.connect(self.url)
        try:
            context = connection.jetstream(publish_async_max_pending=2 * _BATCH)
            for start in range(0, len(orders), _BATCH):
                waiting = [await context.publish_async(f"{self.prefix}.{order.entity}.{order.operation}", order.body(form),
                                                       headers={"Nats-Msg-Id": order.id}) for order in orders[start:start + _BATCH]]
                # A server that is killed takes the answers with it.
                await asyncio.wait_for(asyncio.gather(*waiting), _ANSWER_SECONDS)
        finally:
            await connection.close()

    def publish_raw(self, subject: str, body: bytes, identifier: str | None = None) -> int:
        """Publishes anything below the prefix; returns its sequence."""
        return self.administrator.publish(f"{self.prefix}.{subject}", body, **({"Nats_Msg_Id": identifier} if identifier else {})).sequence

    def consumer(self, name: str = "fraiseql_observer_worker") -> dict:
        """CONSUMER.INFO."""
        return self.administrator.api(f"CONSUMER.INFO.{self.name}.{name}")

    def dead(self) -> list[dict]:
        """The dead letters, in stored order, with `_subject`, `_id` and `_sequence` of their messages; none where there is no such stream."""
        name = f"{self.name}_dead"
        if name not in self.administrator.names():
            return []
        return [message.json | {"_subject": message.subject, "_id": message.id, "_sequence": message.sequence}
                for message in self.administrator.messages(name)]
