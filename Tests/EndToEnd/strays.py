"""Somebody else who publishes on the streamer's prefix, at seeded moments, and keeps a record of what he did."""

import asyncio
import base64
import json
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import nats
from nats.aio.msg import Msg

from stream import STRAY_HEADER

# A plain message; one with an id of its own; one on a subject of the streamer's; an old message of the streamer's, id and all, once more;
# one on a subject that is reserved for markers; two at once.
KINDS = ("plain", "own id", "subject of an entity", "echo", "reserved", "two at once")

# For a stray that waits for its ack: longer than a server takes to come back.
_ACK_SECONDS = 20
_API_SECONDS = 5


@dataclass
class Stray:
    """What was published, and what JetStream said of it: `sequence`, or that it `is_refused` (an echo of an id that it remembers is); neither
    where no ack came: it may be stored or not."""

    number: int
    kind: str
    subject: str
    id: str | None
    body: bytes
    sequence: int | None = None
    is_refused: bool = False

    @property
    def is_answered(self) -> bool:
        """Whether its fate is known."""
        return self.is_refused or self.sequence is not None


class Strays:
    """A connection and a thread of its own. Listens on the prefix as any subscriber may, so that it knows how many messages have been
    sent; publishes when told, or when it has heard so many.

    `entity_subject`: one of the streamer's. Within a `with`, or until `close`.
    """

    def __init__(self, url: str, stream: str, prefix: str, entity_subject: str, seed: int):
        self.published: list[Stray] = []
        # Of the messages heard, how many were part of a fast batch: its control stands in the reply subject.
        self.batched = 0
        self._url = url
        self._stream = stream
        self._prefix = prefix
        self._entity_subject = entity_subject
        self._choice = random.Random(seed)
        self._number = 0
        self._heard = 0
        # (after so many messages heard, what to do), the next one last.
        self._aims: list[tuple[int, Callable[[], object]]] = []
        self._tasks: set[asyncio.Task] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="strays", daemon=True)
        self._thread.start()
        self._run(self._connect())

    def __enter__(self) -> "Strays":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    @property
    def heard(self) -> int:
        """How many messages the streamer has sent, those sent again and those refused too."""
        return self._heard

    def aim(self, after: int, kind: str) -> None:
        """Publishes a stray as soon as so many messages of the streamer's have been heard: while those that follow are under way."""
        self.when_heard(after, lambda: self._spawn(self._publish(kind)))

    def when_heard(self, after: int, action: Callable[[], object]) -> None:
        """Calls it, in the publisher's thread, as soon as so many messages have been heard."""
        self._loop.call_soon_threadsafe(self._add_aim, after, action)

    def publish(self, kind: str) -> list[Stray]:
        """Publishes now, and waits for the acks."""
        return self._run(self._publish(kind))

    def begin_flood(self, rate: float) -> None:
        """Strays of every kind, so many a second, until `end_flood`."""
        self._flood = self._spawn_from_outside(self._flooding(rate))

    def end_flood(self) -> int:
        """Returns how many strays there are by now."""
        self._loop.call_soon_threadsafe(self._flood.cancel)
        self.settle()
        return len(self.published)

    def settle(self) -> None:
        """Waits until each ack came or is waited for no longer."""
        self._run(self._settle())

    def close(self) -> None:
        """Ends the connection and the thread."""
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    # In the thread

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(120)

    def _spawn(self, coroutine) -> asyncio.Task:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _spawn_from_outside(self, coroutine) -> asyncio.Task:
        async def spawn() -> asyncio.Task:
            return self._spawn(coroutine)

        return self._run(spawn())

    async def _connect(self) -> None:
        self._connection = await nats.connect(
            self._url.split(","), error_cb=_quiet, connect_timeout=5, max_reconnect_attempts=-1, reconnect_time_wait=0.05)
        await self._connection.subscribe(f"{self._prefix}.>", cb=self._hear, pending_msgs_limit=-1, pending_bytes_limit=-1)
        await self._connection.flush()

    def _add_aim(self, after: int, action: Callable[[], object]) -> None:
        self._aims = sorted([*self._aims, (after, action)], key=lambda aim: -aim[0])

    async def _hear(self, message: Msg) -> None:
        if STRAY_HEADER in (message.headers or {}):
            return
        self._heard += 1
        self.batched += message.reply.endswith(".$FI")
        while self._aims and self._aims[-1][0] <= self._heard:
            self._aims.pop()[1]()

    async def _publish(self, kind: str) -> list[Stray]:
        kinds = ("plain", self._choice.choice(KINDS[:-1])) if kind == "two at once" else (kind,)
        strays = []
        for each in kinds:
            stray = await self._make(each, kind)
            self.published.append(stray)
            strays.append(stray)
        # Both are in one write.
        await asyncio.gather(*(self._send(stray) for stray in strays))
        return strays

    async def _make(self, what: str, kind: str) -> Stray:
        self._number += 1
        number = self._number
        subject, identifier = f"{self._prefix}.Stray.HELLO", None
        body = json.dumps({"stray": number}).encode()
        if what == "own id":
            # Of nobody's grammar, and of another database's in ours.
            identifier = self._choice.choice([f"somebody.{number}", f"7000000000000000000.5.1.{700 + number}.00000000016B3748.1"])
        elif what == "subject of an entity":
            subject = self._entity_subject
            body = json.dumps({"entity_type": "Item", "operation": "INSERT", "entity": {"n": -number}}).encode()
        elif what == "reserved":
            subject = f"{self._prefix}._slotstream.{self._choice.choice(['GAP', 'HOLE', 'POISON', 'HELLO'])}"
        elif what == "echo" and (old := await self._old_message()):
            subject, identifier, body = old
        return Stray(number, kind, subject, identifier, body)

    async def _old_message(self) -> tuple[str, str, bytes] | None:
        """Any stored message of the streamer's; None when there is none, or nobody answers."""
        with suppress(Exception):
            for _ in range(10):
                last = await self._ask("INFO", {})
                sequence = self._choice.randint(max(1, last["state"]["first_seq"]), last["state"]["last_seq"])
                message = (await self._ask("MSG.GET", {"seq": sequence}))["message"]
                headers = base64.b64decode(message.get("hdrs") or "").decode()
                fields = dict(line.split(": ", 1) for line in headers.split("\r\n") if ": " in line)
                if "Nats-Msg-Id" in fields and STRAY_HEADER not in fields:
                    return message["subject"], fields["Nats-Msg-Id"], base64.b64decode(message.get("data") or "")
        return None

    async def _ask(self, what: str, request: dict) -> dict:
        answer = await self._connection.request(
            f"$JS.API.STREAM.{what}.{self._stream}", json.dumps(request).encode(), timeout=_API_SECONDS)
        return json.loads(answer.data)

    async def _send(self, stray: Stray) -> None:
        headers = {STRAY_HEADER: str(stray.number)}
        if stray.id:
            headers["Nats-Msg-Id"] = stray.id
        # No ack: the server was killed, or nobody led the stream.
        with suppress(Exception):
            said = json.loads((await self._connection.request(stray.subject, stray.body, timeout=_ACK_SECONDS, headers=headers)).data)
            stray.is_refused = "error" in said or said.get("duplicate", False)
            if not stray.is_refused:
                stray.sequence = said["seq"]

    async def _flooding(self, rate: float) -> None:
        began, count = self._loop.time(), 0
        while True:
            # On a busy machine several are due at once.
            while count < (self._loop.time() - began) * rate:
                self._spawn(self._publish(self._choice.choice(KINDS)))
                count += 1
            await asyncio.sleep(1 / rate)

    async def _settle(self) -> None:
        while tasks := [task for task in self._tasks if not task.done()]:
            await asyncio.wait(tasks)

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        with suppress(Exception):
            await self._connection.close()


async def _quiet(_error) -> None:
    """Servers are killed on purpose."""
