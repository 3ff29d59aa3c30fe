"""A TCP proxy on the loopback that can be cut and slowed down: the network between the streamer and a server."""

import asyncio
import threading

from servers.tools import free_port

_CHUNK = 65536


class Proxy:
    """Forwards to `port`, from a thread of its own. `close` ends it."""

    def __init__(self, port: int):
        self.port = free_port()
        self._target = port
        self._is_cut = False
        self._delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", self.port))

    def cut(self) -> None:
        """Ends every connection and takes no new ones, until `mend`."""
        self._is_cut = True
        self._run(self._drop())

    def mend(self) -> None:
        """As a network should be."""
        self._is_cut = False
        self._delay = 0.0

    def slow_down(self, seconds: float) -> None:
        """Holds back each piece for so long, in either direction, until `mend`."""
        self._delay = seconds

    def close(self) -> None:
        """Ends every connection and the proxy."""
        self._is_cut = True
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _drop(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

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
        self._writers |= {writer, other_writer}
        try:
            await asyncio.gather(self._pump(reader, other_writer), self._pump(other_reader, writer))
        except asyncio.CancelledError:
            # The proxy is closed: an end like any other, which asyncio need not report.
            pass
        finally:
            for each in (writer, other_writer):
                each.transport.abort()
                self._writers.discard(each)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(_CHUNK):
                if self._delay:
                    await asyncio.sleep(self._delay)
                writer.write(data)
                await writer.drain()
            writer.write_eof()
        except (OSError, RuntimeError):
            writer.transport.abort()
