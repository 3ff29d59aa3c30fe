"""An administrator's hands on JetStream: what can be done to a stream, a bucket or a record behind the streamer's back."""

import asyncio
import base64
import json
from dataclasses import dataclass

import nats.js.errors

import stream

BUCKET = "slotstream"

_REPEATABLE = ("STREAM.INFO.", "STREAM.MSG.GET.", "STREAM.NAMES", "STREAM.UPDATE.")
_ATTEMPTS = 3


class Refused(Exception):
    """JetStream answered with an error."""


@dataclass(frozen=True)
class Ack:
    """A PubAck: where the message is stored, and whether the server says that it was stored before."""

    sequence: int
    duplicate: bool


class Administrator:
    """Does one thing at a time, over a connection of its own each time, so that it survives whatever the servers go through."""

    def __init__(self, url: str):
        self.url = url

    def _request(self, subject: str, payload: bytes, headers: dict[str, str] | None = None, timeout: float = 5) -> dict:
        async def ask() -> dict:
            connection = await stream.connect(self.url)
            try:
                answer = await connection.request(subject, payload, timeout=timeout, headers=headers)
                return json.loads(answer.data)
            finally:
                await connection.close()

        said = asyncio.run(ask())
        if "error" in said:
            raise Refused(f"{subject}: {said['error']}")
        return said

    def api(self, subject: str, **request) -> dict:
        """A request to `$JS.API.<subject>`, by the server's own names; raises what it refuses.

        A cluster that elects a leader leaves requests without an answer: those that may be repeated are."""
        attempts = _ATTEMPTS if "," in self.url and subject.startswith(_REPEATABLE) else 1
        while True:
            attempts -= 1
            try:
                return self._request(f"$JS.API.{subject}", json.dumps(request).encode())
            except asyncio.TimeoutError:
                if attempts == 0:
                    raise

    # Streams

    def add(self, name: str, **config) -> dict:
        """Makes a stream with exactly these settings; returns its configuration."""
        return self.api(f"STREAM.CREATE.{name}", name=name, **config)["config"]

    def update(self, name: str, **changes) -> None:
        """Changes settings of a stream."""
        self.api(f"STREAM.UPDATE.{name}", **(self.config(name) | changes))

    def info(self, name: str) -> dict:
        """STREAM.INFO."""
        return self.api(f"STREAM.INFO.{name}")

    def config(self, name: str) -> dict:
        """A stream's configuration as the server has it."""
        return self.info(name)["config"]

    def state(self, name: str) -> dict:
        """A stream's state: `messages`, `first_seq`, `last_seq` …"""
        return self.info(name)["state"]

    def names(self) -> set[str]:
        """The names of all streams, those of buckets included."""
        return set(self.api("STREAM.NAMES").get("streams") or [])

    def delete(self, name: str) -> None:
        """Deletes a stream."""
        self.api(f"STREAM.DELETE.{name}")

    def purge(self, name: str) -> None:
        """Removes all messages; the stream goes on counting."""
        self.api(f"STREAM.PURGE.{name}")

    # Messages

    def message(self, name: str, sequence: int) -> dict:
        """A stored message: `subject`, `headers` as one text, `body`."""
        message = self.api(f"STREAM.MSG.GET.{name}", seq=sequence)["message"]
        return {"subject": message["subject"], "headers": base64.b64decode(message.get("hdrs") or "").decode(),
                "body": base64.b64decode(message.get("data") or "")}

    def messages(self, name: str) -> list[stream.Event]:
        """Every message that is there, asked for one by one: also of a stream whose last message is gone."""

        async def read() -> list[stream.Event]:
            connection = await stream.connect(self.url)
            try:
                context = connection.jetstream(timeout=5)
                state = (await context.stream_info(name)).state
                events = []
                for sequence in range(max(1, state.first_seq), state.last_seq + 1):
                    try:
                        message = await context.get_msg(name, sequence)
                    except nats.js.errors.NotFoundError:
                        continue
                    events.append(stream.event(sequence, message.subject, message.headers or {}, message.data or b""))
                return events
            finally:
                await connection.close()

        return asyncio.run(read())

    def delete_message(self, name: str, sequence: int) -> None:
        """Removes one message; its sequence stays used."""
        self.api(f"STREAM.MSG.DELETE.{name}", seq=sequence)

    def publish(self, subject: str, body: bytes, **headers: str) -> Ack:
        """Publishes as anybody could; `Nats_Msg_Id="…"` is the header Nats-Msg-Id."""
        said = self._request(subject, body, {key.replace("_", "-"): value for key, value in headers.items()} or None)
        return Ack(said["seq"], said.get("duplicate", False))

    def publish_all(self, subject: str, messages: list[tuple[bytes, str]]) -> None:
        """Publishes bodies with their ids, in order, each stored before the next."""

        async def publish() -> None:
            connection = await stream.connect(self.url)
            try:
                for body, identifier in messages:
                    await connection.jetstream().publish(subject, body, headers={"Nats-Msg-Id": identifier})
            finally:
                await connection.close()

        asyncio.run(publish())

    # The checkpoint record

    def record(self, stream_name: str) -> dict:
        """The checkpoint record of a stream."""
        return json.loads(self._record(stream_name)["body"])

    def revision(self, stream_name: str) -> int:
        """The record's revision."""
        return self._record(stream_name)["sequence"]

    def _record(self, stream_name: str) -> dict:
        message = self.api(f"STREAM.MSG.GET.KV_{BUCKET}", last_by_subj=f"$KV.{BUCKET}.{stream_name}")["message"]
        return {"body": base64.b64decode(message["data"]), "sequence": message["seq"]}

    def put_record(self, stream_name: str, record: dict, after: int | None = None) -> None:
        """Puts a record: behind that revision only (`Refused` otherwise), or whatever its revision was."""
        headers = None if after is None else {"Nats-Expected-Last-Subject-Sequence": str(after)}
        self._request(f"$KV.{BUCKET}.{stream_name}", json.dumps(record).encode(), headers)

    def entry(self, key: str) -> dict | None:
        """What the bucket holds under a key; None: nothing."""
        try:
            return json.loads(self._record(key)["body"])
        except Refused:
            return None

    def delete_record(self, stream_name: str) -> None:
        """Deletes a record as a key-value client does it."""
        self._request(f"$KV.{BUCKET}.{stream_name}", b"", {"KV-Operation": "DEL"})
