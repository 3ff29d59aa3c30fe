"""A TCP proxy on the loopback that can be cut and slowed down: the network between the streamer and a server."""

import asyncio
import re
import threading
from dataclasses import dataclass

from servers.tools import free_port

_CHUNK = 65536
_LOOK_SECONDS = 0.01


@dataclass(eq=False)
class _Connection:
    """Both ends of what is forwarded, who opened it, and what that one said until it named itself."""

    writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    name: str | None = None
    said: bytes = b""

    def abort(self) -> None:
        for writer in self.writers:
            writer.transport.abort()


class Proxy:
    """Forwards to `port`, from a thread of its own. `close` ends it.

    `names_itself` finds, in what is said by who opens a connection, its name: then some can be cut off and others not.
    """

    def __init__(self, port: int, names_itself: re.Pattern[bytes] | None = None):
        self.port = free_port()
        self._target = port
        self._names_itself = names_itself
        self._is_cut = False
        self._cut_off: set[str] = set()
        self._delay = 0.0
        self._holds_answers = False
        self._silenced: set[asyncio.StreamWriter] = set()
        self._connections: set[_Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", self.port))

    def cut(self, name: str | None = None) -> None:
        """Ends every connection and takes no new ones, or only those of who names itself so, until `mend`."""
        if name is None:
            self._is_cut = True
        else:
            self._cut_off.add(name)
        self._run(self._drop(name))

    def mend(self) -> None:
        """As a network should be."""
        self._is_cut = False
        self._cut_off.clear()
        self._delay = 0.0
        self._holds_answers = False
        self._silenced = set()

    def slow_down(self, seconds: float) -> None:
        """Holds back each piece for so long, in either direction, until `mend`."""
        self._delay = seconds

    def hold_answers(self) -> None:
        """What is said to who opened a connection waits until `mend`, and is lost where the connection is cut before."""
        self._holds_answers = True

    def fall_silent(self) -> None:
        """Takes what is sent over the connections that there are, and forwards nothing, until `mend`: they only seem to stand."""
        self._silenced = {writer for connection in list(self._connections) for writer in connection.writers}

    def changed(self, data: bytes, is_from_client: bool) -> bytes:
        """What is forwarded in place of a piece; a class of its own damages it."""
        return data

    def close(self) -> None:
        """Ends every connection and the proxy."""
        self._is_cut = True
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _drop(self, name: str | None = None) -> None:
        for connection in self._connections:
            if name is None or connection.name == name:
                connection.abort()

    async def _end(self) -> None:
        self._server.close()
        await self._drop()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=5)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_cut:
            writer.transport.abort()
            return
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        if self._is_cut:
            writer.transport.abort()
            other_writer.transport.abort()
            return
        connection = _Connection((writer, other_writer))
        self._connections.add(connection)
        try:
            await asyncio.gather(self._pump(reader, other_writer, connection), self._pump(other_reader, writer))
        except asyncio.CancelledError:
            # The proxy is closed: an end like any other, which asyncio need not report.
            pass
        finally:
            connection.abort()
            self._connections.discard(connection)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter,
                    opened: _Connection | None = None) -> None:
        """Forwards in one direction; `opened`: what is read comes from who opened this connection."""
        try:
            while data := await reader.read(_CHUNK):
                if opened and self._is_cut_off(opened, data):
                    opened.abort()
                    return
                if self._delay:
                    await asyncio.sleep(self._delay)
                while self._holds_answers and opened is None and not writer.is_closing():
                    await asyncio.sleep(_LOOK_SECONDS)
                if writer in self._silenced:
                    continue
                writer.write(self.changed(data, opened is not None))
                await writer.drain()
            if writer not in self._silenced:
                writer.write_eof()
        except (OSError, RuntimeError):
            writer.transport.abort()

    def _is_cut_off(self, connection: _Connection, data: bytes) -> bool:
        if self._names_itself and connection.name is None:
            connection.said = (connection.said + data)[:_CHUNK]
            if found := self._names_itself.search(connection.said):
                connection.name, connection.said = found[1].decode(), b""
        return connection.name in self._cut_off
