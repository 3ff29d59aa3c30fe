"""A receiver of webhooks: an HTTP server that is a process of its own, answers by a plan, and writes down each request that arrives.

    python receiver.py PORT LOG

It is written for speed: nothing but what HTTP/1.1 clients do here is understood (a Content-Length, no chunks). A request is an arrival of its
key (header `Idempotency-Key`) at its path; what is answered is `answers.answer` of the plan, of the key and of the number of its arrival. The plan
is replaced by a POST to `/_plan`; `/_flush` answers when all that has arrived is in the log, and `/_count` with how much that is.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

from answers import DRIP_SECONDS, Answer, Plan

_REASONS = {200: "OK", 204: "No Content", 301: "Moved Permanently", 302: "Found", 307: "Temporary Redirect", 400: "Bad Request", 404: "Not Found",
            429: "Too Many Requests", 500: "Internal Server Error", 503: "Service Unavailable"}
_FLUSH_SECONDS = 0.05


class Desk:
    """What all connections share: the plan, the log, how often each key has arrived and whether it was seen."""

    def __init__(self, log: Path):
        self.plan = Plan()
        self._log = log.open("wb", buffering=1 << 20)
        self._arrivals: dict[tuple[str, str], int] = {}
        self._seen: set[tuple[str, str]] = set()
        self._count = 0

    def flush(self) -> None:
        """Everything that has arrived can be read."""
        self._log.flush()

    def counted(self) -> dict[str, int]:
        """How much has arrived, and how many keys of it were seen."""
        return {"arrivals": self._count, "seen": len(self._seen)}

    async def flush_forever(self) -> None:
        """Readers need not ask."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            self.flush()

    def arrived(self, method: str, path: str, headers: dict[str, str], body: bytes, connection: int) -> Answer:
        """Decides the answer, and writes the arrival down. Who has seen a key answers its repeats at once: that is what the key is for."""
        key = headers.get("idempotency-key", "")
        place = (path, key)
        attempt = self._arrivals[place] = self._arrivals.get(place, 0) + 1
        is_repeat = place in self._seen
        answer = Answer("repeat") if is_repeat and self.plan.honours_keys else self.plan.answer(path, key, attempt)
        is_seen = answer.is_seen and not is_repeat
        if is_seen and key:
            self._seen.add(place)
        self._count += 1
        if not self.plan.writes:
            return answer
        line = {"at": time.monotonic_ns(), "connection": connection, "method": method, "path": path, "key": key, "attempt": attempt,
                "answer": answer.kind, "seen": is_seen, "told": answer.is_told, "headers": headers, "body": body.decode("utf-8", "backslashreplace")}
        self._log.write(json.dumps(line).encode() + b"\n")
        return answer


class Connection(asyncio.Protocol):
    """One client's connection: requests one after another."""

    count = 0

    def __init__(self, desk: Desk):
        self._desk = desk
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        # While an answer is under way the next request waits.
        self._is_busy = False
        Connection.count += 1
        self._number = Connection.count

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def _go_on(self) -> None:
        while not self._is_busy and not self._transport.is_closing():
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            lines = self._buffer[:end].decode("latin-1").split("\r\n")
            headers = {}
            for line in lines[1:]:
                name, _, value = line.partition(":")
                headers[name.lower()] = value.strip()
            length = int(headers.get("content-length", 0))
            if len(self._buffer) < end + 4 + length:
                if headers.get("expect") == "100-continue" and len(self._buffer) == end + 4:
                    self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                return
            body = self._buffer[end + 4:end + 4 + length]
            self._buffer = self._buffer[end + 4 + length:]
            method, path, _ = lines[0].split(" ", 2)
            if path.startswith("/_"):
                self._control(path, body)
            else:
                self._answer(self._desk.arrived(method, path, headers, body, self._number))

    def _control(self, path: str, body: bytes) -> None:
        if path == "/_plan":
            self._desk.plan = Plan.read(json.loads(body))
        self._desk.flush()
        said = json.dumps(self._desk.counted()).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(said), said))

    def _answer(self, answer: Answer) -> None:
        if answer.closes == "before":
            # As a process that dies: no answer, and the connection is gone.
            self._transport.abort()
            return
        if answer.hangs:
            self._is_busy = True
            return
        body = answer.body.encode()
        head = f"HTTP/1.1 {answer.status} {_REASONS.get(answer.status, 'Other')}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        whole = f"{head}Content-Length: {len(body) + answer.filler}\r\n\r\n".encode() + body
        if answer.closes == "middle":
            self._transport.write(whole[:-(len(body) // 2 or 1)])
            self._transport.close()
        elif answer.drips:
            self._is_busy = True
            asyncio.get_running_loop().create_task(self._drip(whole))
        else:
            self._transport.write(whole)
            if answer.filler:
                self._is_busy = True
                asyncio.get_running_loop().create_task(self._fill(answer.filler))
            elif answer.closes == "after":
                self._transport.close()

    async def _drip(self, whole: bytes) -> None:
        pieces = 8
        step = -(-len(whole) // pieces)
        for start in range(0, len(whole), step):
            if self._transport.is_closing():
                return
            self._transport.write(whole[start:start + step])
            await asyncio.sleep(DRIP_SECONDS / pieces)
        self._is_busy = False
        self._go_on()

    async def _fill(self, count: int) -> None:
        """An answer as large as anybody likes, as fast as the client takes it."""
        piece = b"x" * 65536
        while count > 0 and not self._transport.is_closing():
            self._transport.write(piece[:count])
            count -= len(piece)
            while self._transport.get_write_buffer_size() > 1 << 20 and not self._transport.is_closing():
                await asyncio.sleep(0.002)
        self._is_busy = False
        self._go_on()


async def _serve(port: int, log: Path) -> None:
    desk = Desk(log)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(desk), "127.0.0.1", port, backlog=1024)
    async with server:
        await desk.flush_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
