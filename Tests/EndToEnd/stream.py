"""The stream as a consumer sees it: the whole of it, in order, through nats-py."""

import asyncio
import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import nats
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StorageType, StreamConfig

# Of a message that somebody else published (strays.py), with its number: the tests', the streamer does not know it.
STRAY_HEADER = "Published-By-Somebody-Else"

_QUIET_SECONDS = 30
_ANSWER_SECONDS = (2, 5, 10, 20)
_ASKED_AGAIN_SECONDS = 3


class StreamError(Exception):
    """The stream could not be read to its end."""


@dataclass(slots=True)
class Event:
    """One stored message: its place, its subject, the headers that matter, its body. `batch`: id and place of a message that came
    in an atomic batch; `stray`: the number of somebody else's."""

    sequence: int
    subject: str
    id: str | None
    expected_last: int | None
    body: bytes
    batch: tuple[str, int] | None = None
    stray: int | None = None

    @property
    def json(self) -> dict:
        """The body, parsed."""
        return json.loads(self.body)

    def with_sequence(self, sequence: int, previous: int) -> "Event":
        """The same message, stored elsewhere in the chain."""
        return replace(self, sequence=sequence, expected_last=previous, batch=None)


def event(sequence: int, subject: str, headers: dict[str, str], body: bytes) -> Event:
    """A message as a consumer got it."""
    last, place, stray = (headers.get(name) for name in ("Nats-Expected-Last-Sequence", "Nats-Batch-Sequence", STRAY_HEADER))
    return Event(sequence, subject, headers.get("Nats-Msg-Id"), None if last is None else int(last), body,
                 None if place is None else (headers["Nats-Batch-Id"], int(place)), None if stray is None else int(stray))


async def _quiet(_error) -> None:
    """Servers are killed on purpose: nats-py need not log it."""


async def connect(url: str, patient: bool = True) -> nats.NATS:
    """A connection for the tests' own use, to the first of the servers that answers; without patience, at once or never."""
    if patient:
        return await nats.connect(url.split(","), error_cb=_quiet, connect_timeout=5, max_reconnect_attempts=3)
    return await nats.connect(url.split(","), error_cb=_quiet, connect_timeout=1, allow_reconnect=False)


def read(url: str, stream: str = "fraiseql_events", first: int = 1) -> Iterator[Event]:
    """Every message that the stream holds at the moment of the call, in stored order, from sequence `first`."""
    loop = asyncio.new_event_loop()
    reading = _batches(url, stream, first)
    try:
        while True:
            try:
                batch = loop.run_until_complete(anext(reading))
            except StopAsyncIteration:
                return
            yield from batch
    finally:
        loop.run_until_complete(reading.aclose())
        loop.close()


# Messages asked for at a time: far below what the server would hold back for a slow reader before it cut it off.
_BATCH = 8000


async def _answered(connection: nats.NATS, ask):
    """What `ask` a JetStream context for. A request that reaches a cluster while it elects a leader is never answered: it is made again,
    each time with more patience."""
    for seconds in _ANSWER_SECONDS:
        try:
            return await ask(connection.jetstream(timeout=seconds))
        except asyncio.TimeoutError:
            continue
    raise StreamError(f"no answer within {sum(_ANSWER_SECONDS)} s")


async def _batches(url: str, stream: str, first: int):
    """The messages as lists, through a pull consumer without acks. A message that got lost on its way would show as a gap
    in the consumer's own count, which is checked."""
    connection = await connect(url)
    try:
        state = (await _answered(connection, lambda context: context.stream_info(stream))).state
        if state.messages == 0 or first > state.last_seq:
            return
        wanted = ConsumerConfig(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=first, ack_policy=AckPolicy.NONE,
                                mem_storage=True, inactive_threshold=60)
        consumer = await _answered(connection, lambda context: context.add_consumer(stream, wanted))
        arrived: list[Msg] = []
        enough = asyncio.Event()

        async def receive(message: Msg) -> None:
            # A callback costs a third of what next_msg does.
            arrived.append(message)
            if len(arrived) >= _BATCH // 2 or message.reply.endswith(".0"):
                enough.set()

        inbox = connection.new_inbox()
        await connection.subscribe(inbox, cb=receive, pending_msgs_limit=-1, pending_bytes_limit=-1)
        request = json.dumps({"batch": _BATCH // 2}).encode()
        next_messages = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer.name}"
        for _ in range(2):
            await connection.publish(next_messages, request, reply=inbox)
        delivered = 0
        while True:
            for _ in range(_QUIET_SECONDS // _ASKED_AGAIN_SECONDS):
                try:
                    await asyncio.wait_for(enough.wait(), _ASKED_AGAIN_SECONDS)
                    break
                except asyncio.TimeoutError:
                    # What was asked before the replicated consumer had its leader is lost.
                    await connection.publish(next_messages, request, reply=inbox)
            else:
                raise StreamError(f"{stream}: silence after {delivered} messages, last is {state.last_seq}")
            enough.clear()
            messages, arrived[:] = list(arrived), []
            batch = []
            for message in messages:
                if not message.reply and "Status" in (message.headers or {}):
                    # 503: a replicated consumer that has no leader yet. Asked for again.
                    await asyncio.sleep(0.2)
                    await connection.publish(next_messages, request, reply=inbox)
                    continue
                # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<time>.<pending>
                tokens = message.reply.split(".")
                delivered += 1
                if len(tokens) < 9 or int(tokens[-3]) != delivered:
                    raise StreamError(f"{stream}: delivery {delivered} came as {message.reply} {message.headers}")
                if delivered % (_BATCH // 2) == 0:
                    await connection.publish(next_messages, request, reply=inbox)
                headers = message.headers or {}
                batch.append(event(int(tokens[-4]), message.subject, headers, message.data))
            if batch and batch[-1].sequence >= state.last_seq:
                yield [event for event in batch if event.sequence <= state.last_seq]
                return
            yield batch
    finally:
        await connection.close()


def create(url: str, duplicate_window: float, replicas: int = 1, stream: str = "fraiseql_events",
           prefix: str = "fraiseql.mutation") -> None:
    """Makes the stream beforehand as an administrator would, with a duplicate window of that many seconds."""

    async def make() -> None:
        connection = await connect(url)
        try:
            await connection.jetstream().add_stream(StreamConfig(
                name=stream, subjects=[f"{prefix}.>"], storage=StorageType.FILE, num_replicas=replicas,
                duplicate_window=duplicate_window, max_age=7 * 86400, max_bytes=10 * 2**30, allow_direct=True))
        finally:
            await connection.close()

    asyncio.run(make())


# A row of a backfill stands behind the event whose position its id begins with.
_POSITION = re.compile(r"\d+\.\d+\.\d+\.(\d+)\.([0-9A-F]{16})\.(\d+)(?:\.b\.\d+(?:\.\d+){5})?")


def position(message_id: str) -> tuple[int, int]:
    """(commit LSN, ordinal) in a message id; of a row of a backfill, those of the event before it."""
    found = _POSITION.fullmatch(message_id)
    if not found:
        raise StreamError(f"no message id of ours: {message_id!r}")
    return int(found[2], 16), int(found[3])


async def last_message(
        connection: nats.NATS, stream: str = "fraiseql_events", seconds: float = 2) -> tuple[str, bytes] | None:
    """Id and body of the stream's last message that nobody else published, and that is no marker or late event, asked of its leader; None
    when there is none."""
    request = {"last_by_subj": ">"}
    while True:
        answer = await connection.request(f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps(request).encode(), timeout=seconds)
        said = json.loads(answer.data)
        if "error" in said:
            if said["error"]["code"] == 404:
                return None
            raise StreamError(str(said["error"]))
        message = said["message"]
        headers = base64.b64decode(message.get("hdrs", "")).decode()
        identity = re.search(r"\r\nNats-Msg-Id: *(\S+)\r\n", headers)
        if STRAY_HEADER not in headers and identity and _POSITION.fullmatch(identity[1]):
            return identity[1], base64.b64decode(message.get("data", ""))
        if message["seq"] == 1:
            return None
        request = {"seq": message["seq"] - 1}


async def last_position(
        connection: nats.NATS, stream: str = "fraiseql_events", seconds: float = 2) -> tuple[int, int]:
    """The position of the stream's last event; (0, 0) when there is none."""
    last = await last_message(connection, stream, seconds)
    return position(last[0]) if last else (0, 0)
