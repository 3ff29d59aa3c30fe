"""The least that keeps the promise of an observer worker, with nats-py: pulls events, sends each row to one webhook, retries, acknowledges what is
done, stores what cannot be done as a dead letter. What the judge of the tests is tried on, and what the benchmark measures the worker beside.

    python minimal_worker.py NATS_URL STREAM CONSUMER WEBHOOK SECRET [--concurrency 50] [--attempts 6] [--delay 0.01] [--careless] [--unordered]

One order's events are done one after another. `--careless` acknowledges before the action, as FraiseQL's own worker does; `--unordered` has no
lanes: with either the judge must find what is wrong. SIGTERM ends it when what it has is done. It knows nothing of markers, of several workers or of
a server that is away for long.
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import signal
import time
from urllib.parse import urlsplit

import nats


class Webhooks:
    """POSTs over connections that are kept."""

    def __init__(self, url: str, secret: str, timeout: float):
        parts = urlsplit(url)
        self._address = (parts.hostname, parts.port)
        self._head = f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        self._secret, self._timeout = secret.encode(), timeout
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def post(self, key: str, body: bytes) -> int:
        """The status; 0 where there was no whole answer."""
        moment = str(int(time.time()))
        signature = hmac.new(self._secret, moment.encode() + b"." + body, hashlib.sha256).hexdigest()
        request = (f"{self._head}Content-Length: {len(body)}\r\nIdempotency-Key: {key}\r\n"
                   f"X-FraiseQL-Signature-256: t={moment},v1={signature}\r\n\r\n").encode() + body
        if self._idle:
            status = await self._ask(request, *self._idle.pop())
            if status:
                return status
            # It may have been closed while nobody used it, which is no answer of the receiver's: over a new one, as HTTP clients do.
        return await self._ask(request)

    async def _ask(self, request: bytes, reader: asyncio.StreamReader | None = None, writer: asyncio.StreamWriter | None = None) -> int:
        try:
            async with asyncio.timeout(self._timeout):
                if not writer:
                    reader, writer = await asyncio.open_connection(*self._address)
                writer.write(request)
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
                length = int(head.partition("content-length:")[2].split("\r\n")[0])
                await reader.readexactly(length)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError):
            if writer:
                writer.transport.abort()
            return 0
        self._idle.append((reader, writer))
        return int(head.split(" ", 2)[1])


class Worker:
    """Does the events of one consumer."""

    def __init__(self, options: argparse.Namespace):
        self._options = options
        self._hooks = Webhooks(options.webhook, options.secret, timeout=1)
        # The last task of each lane.
        self._lanes: dict[str, asyncio.Task] = {}
        self._under_way = 0
        self._freed = asyncio.Event()

    async def run(self) -> None:
        """Until SIGTERM; what it has by then is done."""
        options = self._options
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        connection = await nats.connect(options.url)
        self._context = connection.jetstream()
        subscription = await self._context.pull_subscribe_bind(options.consumer, stream=options.stream)
        while not stopping.is_set():
            while self._under_way >= options.concurrency:
                self._freed.clear()
                await self._freed.wait()
            try:
                messages = await subscription.fetch(options.concurrency - self._under_way, timeout=1)
            except asyncio.TimeoutError:
                continue
            for message in messages:
                self._take(message)
        while self._under_way:
            self._freed.clear()
            await self._freed.wait()
        await connection.close()

    def _take(self, message) -> None:
        event = json.loads(message.data)
        lane = f"{event['entity_type']}/{event['entity_id']}"
        before = None if self._options.unordered else self._lanes.get(lane)
        self._under_way += 1
        task = self._lanes[lane] = asyncio.get_running_loop().create_task(self._do(message, event, before))

        def freed(done: asyncio.Task) -> None:
            self._under_way -= 1
            self._freed.set()
            if self._lanes.get(lane) is done:
                del self._lanes[lane]
            done.result()

        task.add_done_callback(freed)

    async def _do(self, message, event: dict, before: asyncio.Task | None) -> None:
        if self._options.careless:
            await message.ack_sync()
        if before:
            await asyncio.wait([before])
        key = message.headers["Nats-Msg-Id"]
        body = json.dumps(event["entity"], separators=(",", ":")).encode()
        status, reason, attempts = 0, "attempts_exhausted", 0
        for attempts in range(1, self._options.attempts + 1):
            status = await self._hooks.post(key, body)
            if 200 <= status < 300 or 400 <= status < 500 and status != 429:
                break
            await asyncio.sleep(self._options.delay * 2 ** (attempts - 1))
        if not 200 <= status < 300:
            reason = "permanent" if 400 <= status < 500 and status != 429 else reason
            letter = {"schema": "slotstream.dead_letter/1", "event_id": key, "reason": reason, "error": f"HTTP {status}", "attempts": attempts,
                      "event": event}
            await self._context.publish(f"{self._options.stream}_dead.{event['entity_type']}.{event['operation']}", json.dumps(letter).encode(),
                                        headers={"Nats-Msg-Id": f"{key}.dead"})
        if not self._options.careless:
            await message.ack_sync()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    for name in ("url", "stream", "consumer", "webhook", "secret"):
        parser.add_argument(name)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--attempts", type=int, default=6)
    parser.add_argument("--delay", type=float, default=0.01)
    parser.add_argument("--careless", action="store_true")
    parser.add_argument("--unordered", action="store_true")
    asyncio.run(Worker(parser.parse_args()).run())
