"""A client of nats-server that answers in JetStream's place: whoever may subscribe to its subjects and publish to an inbox can."""

import asyncio
import base64
import json
import random
import signal
import threading

import nats

from servers.nats import Nats
from servers.tools import wait_until

_BEYOND = (0, 2**31, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 10**40, -1, 1.5, "1", None)
_TEXT = "x" * 900_000
_MAPPED = "taken"
_RELOADED = "Reloaded server configuration"


class Hostile:
    """Answers requests to JetStream's API, and to what is published on `subjects`, until `close`.

    The first answer counts, and a server is quick: so `percent` of the requests to the API reach this one only, by a mapping of
    nats-server's. The rest gets two answers. `info`: the stream's true STREAM.INFO, and `record` the true record, both to be changed.
    """

    def __init__(self, servers: Nats, info: dict, record: dict, subjects: list[str], percent: int, seed: int):
        self.answered = 0
        self._record = record
        self._servers = servers
        self._info = info
        self._choice = random.Random(seed)
        self._map(f'{{ destination: "{_MAPPED}.>", weight: {percent}% }}')
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="hostile", daemon=True)
        self._thread.start()
        self._connection = asyncio.run_coroutine_threadsafe(self._subscribe(subjects), self._loop).result(30)

    async def _subscribe(self, subjects: list[str]) -> nats.NATS:
        connection = await nats.connect(self._servers.url)
        for subject in (f"{_MAPPED}.>", "$JS.API.>"):
            await connection.subscribe(subject, cb=self._answer_api)
        for subject in subjects:
            await connection.subscribe(subject, cb=self._answer_publish)
        await connection.flush()
        return connection

    def close(self) -> None:
        """JetStream alone answers again."""
        # A mapping that is taken away stays, in nats-server 2.15.1: it is replaced by one that changes nothing.
        self._map('{ destination: "$JS.API.>", weight: 100% }')
        asyncio.run_coroutine_threadsafe(self._connection.close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _map(self, destination: str) -> None:
        for server in self._servers.servers:
            count = server.log.read_text().count(_RELOADED)
            before = server.config.read_text().partition("mappings:")[0]
            server.config.write_text(f'{before}mappings: {{ "$JS.API.>": [{destination}] }}\n')
            server.signal(signal.SIGHUP)
            wait_until(lambda: server.log.read_text().count(_RELOADED) > count, 30, f"nats-server reloads: {server.log}")

    async def _answer_api(self, message) -> None:
        await self._answer(message, [self._changed_info, self._message, self._consumer])

    async def _answer_publish(self, message) -> None:
        await self._answer(message, [self._ack] * 4)

    async def _answer(self, message, fitting: list) -> None:
        if not message.reply:
            return
        said = self._choice.choice([*fitting, self._error, self._nonsense])()
        headers = {"Status": self._choice.choice(["503", "404", "100", "x" * 70_000])} if self._choice.random() < 0.05 else None
        await self._connection.publish(message.reply, said if isinstance(said, bytes) else json.dumps(said).encode(), headers=headers)
        self.answered += 1

    def _number(self):
        return self._choice.choice(_BEYOND)

    def _near(self) -> int:
        return max(0, self._info["state"]["last_seq"] + self._choice.choice([-3, -1, 1, 2, 1000, 2**40]))

    def _changed_info(self) -> dict:
        info = json.loads(json.dumps(self._info))
        changed = self._choice.choice(["state", "state", "near", "config", "cluster"])
        if changed == "near":
            info["state"]["last_seq"] = self._near()
        elif changed == "cluster":
            info["cluster"] = {"name": _TEXT, "replicas": [{"name": _TEXT[:9], "lag": self._number()}] * 100}
        else:
            part = info[changed]
            part[self._choice.choice(sorted(part))] = self._choice.choice([self._number(), {}, [], _TEXT, True])
        return info

    def _message(self) -> dict:
        if self._choice.random() < 0.3:
            forged = self._record | {self._choice.choice(["last_sequence", "settled_sequence"]): self._number()}
            return {"message": {"subject": "$KV.slotstream.x", "seq": self._near(), "data": base64.b64encode(json.dumps(forged).encode()).decode(),
                                "time": "2026-11-23T07:00:00Z"}}
        return {"message": {"subject": self._choice.choice(["a", _TEXT[:300_000], 7]), "seq": self._number(), "data": "!!!",
                            "hdrs": self._choice.choice(["TkFUUy8xLjANCk5hdHMtTXNnLUlkOiAx" * 20_000, "!", None]), "time": "yesterday"}}

    def _consumer(self) -> dict:
        return {"stream_name": _TEXT[:9], "name": "y", "num_pending": self._number(), "created": "z", "config": {"ack_wait": self._number()},
                "delivered": {"consumer_seq": self._number(), "stream_seq": self._number()}}

    def _ack(self) -> dict:
        """None that is right: the right one is the server's own word, which nobody can tell from a forged one."""
        stream = self._info["config"]["name"]
        return self._choice.choice([
            {"stream": self._choice.choice(["other", _TEXT, 7]), "seq": self._near()},
            {"stream": stream, "seq": self._choice.choice([2**62, 2**63, 2**64 - 1, 2**64, -1, "1"]), "count": self._number()},
            {"stream": stream, "seq": 2**64 - 1, "duplicate": True},
            {"type": "ack", "seq": self._choice.choice([0, 2**20, 2**63 + 1, 2**64 - 1]), "msgs": self._number()},
            {"type": self._choice.choice(["gap", "err", _TEXT]), "seq": self._number(), "last_seq": self._number(), "error": self._error()["error"]},
            {"error": {"code": 400, "err_code": 10071, "description": f"wrong last sequence: {self._choice.choice([0, 2**63, 2**64 - 1])}"}},
        ])

    def _error(self) -> dict:
        return {"error": {"code": self._choice.choice([400, 404, 503, 2**63]), "err_code": self._choice.choice([0, 10037, 10071, 10077, 2**63, "x"]),
                          "description": self._choice.choice([_TEXT, "\u0000\u001b[2J\n" * 9_000, 7])}}

    def _nonsense(self) -> bytes:
        return self._choice.choice([b"", b"[" * 500_000, b'{"a":' * 150_000, self._choice.randbytes(5_000), b"null", b'"' + b"y" * 900_000,
                                    b'{"error":null,"error":' + b"9" * 100_000 + b"}", b"\xff" * 1_000])
