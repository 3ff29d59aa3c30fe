"""A private nats-server with JetStream, or a cluster of three."""

import asyncio
import os
import signal
import socket
import subprocess
from pathlib import Path

import nats

from .tools import dying_with_us, free_port, nats_binary, wait_until


class NatsServer:
    """One nats-server process; port and store survive a restart."""

    def __init__(self, version: str, folder: Path, name: str = "n1", port: int | None = None,
                 routes: list[int] | None = None, route_port: int | None = None, prefix: list[str] | None = None):
        self.binary = nats_binary(version)
        self.folder = folder / name
        self.folder.mkdir(parents=True)
        self.port = port or free_port()
        self.log = self.folder / "nats.log"
        self.prefix = prefix or []
        self._process: subprocess.Popen | None = None
        self._pid_file = self.folder / "pid"
        lines = [
            f"server_name: {name}",
            f"listen: 127.0.0.1:{self.port}",
            f'pid_file: "{self._pid_file}"',
            f'log_file: "{self.log}"',
            f'jetstream {{ store_dir: "{self.folder}", max_memory_store: 1GB, max_file_store: 50GB }}',
        ]
        if routes:
            peers = ", ".join(f'"nats://127.0.0.1:{peer}"' for peer in routes)
            lines.append(f"cluster {{ name: slotstream, listen: 127.0.0.1:{route_port}, routes: [{peers}] }}")
        self.config = self.folder / "nats.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def launch(self) -> None:
        """Starts the process, without waiting for it."""
        self._pid_file.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [*dying_with_us(), *self.prefix, str(self.binary), "-c", str(self.config)], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)

    @property
    def running(self) -> bool:
        """Whether the process is there (paused counts)."""
        return self._process is not None and self._process.poll() is None

    def signal(self, number: int) -> None:
        """Sends a signal to the server itself (what stands before its command becomes it by exec)."""
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self._process.wait()


class Nats:
    """One server, or a cluster of three for a version that ends in `-R3`."""

    def __init__(self, version: str, folder: Path, port: int | None = None, prefix: list[str] | None = None):
        self.label = version
        self.replicas = 3 if version.endswith("-R3") else 1
        number = version.removesuffix("-R3")
        if self.replicas == 1:
            self.servers = [NatsServer(number, folder, port=port, prefix=prefix)]
        else:
            routes = [free_port() for _ in range(3)]
            self.servers = [NatsServer(number, folder, name=f"n{index + 1}", routes=routes, route_port=route)
                            for index, route in enumerate(routes)]
        self._outside = not prefix

    @property
    def url(self) -> str:
        """All servers, comma-separated."""
        return ",".join(f"nats://127.0.0.1:{server.port}" for server in self.servers)

    def start(self) -> None:
        """Starts what does not run and waits until JetStream answers."""
        for server in self.servers:
            if not server.running:
                server.launch()
        if self._outside:
            self.wait_ready()
        else:
            log = self.servers[0].log
            wait_until(lambda: "Server is ready" in log.read_text(), 30, f"nats-server is ready: {log}")

    def wait_ready(self, seconds: float = 60) -> None:
        """Waits until JetStream answers: with a leader, in a cluster."""
        wait_until(lambda: asyncio.run(self._answers()), seconds, f"JetStream of {self.label} answers at {self.url}", 0.1)

    async def _answers(self) -> bool:
        for server in self.servers:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            connection = await nats.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False,
                                            connect_timeout=2, error_cb=_ignore)
            try:
                await connection.jetstream(timeout=2).account_info()
            finally:
                await connection.close()
        return True

    def kill(self) -> None:
        """kill -9 of every server."""
        for server in self.servers:
            server.kill()

    def pause(self) -> None:
        """SIGSTOP to every server: they hold their connections and answer nothing."""
        for server in self.servers:
            server.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT to every server."""
        for server in self.servers:
            server.signal(signal.SIGCONT)

    def close(self) -> None:
        """Ends what runs."""
        for server in self.servers:
            if server.running:
                server.kill()


async def _ignore(_error) -> None:
    """nats-py logs connection errors unless it is told otherwise; the caller sees them anyway."""
