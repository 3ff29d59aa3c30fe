"""A private nats-server with JetStream, or a cluster of three."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import nats

from proxy import Proxy

from .tools import dying_with_us, free_port, freeze, nats_binary, thaw, wait_until


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
            # Otherwise 10 s.
            "lame_duck_grace_period: 2s",
        ]
        self.route_port = route_port
        if routes:
            lines.append(_cluster(route_port, routes))
        self.config = self.folder / "nats.conf"
        self.config.write_text("\n".join(lines) + "\n")

    def route_to(self, routes: list[int], advertised: int) -> None:
        """From the next start on: where it finds the others, and where they find it. Clients are not told of other servers."""
        line = _cluster(self.route_port, routes, f", advertise: 127.0.0.1:{advertised}, no_advertise: true")
        self.config.write_text(re.sub(r"^cluster \{.*$", line, self.config.read_text(), flags=re.MULTILINE))

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

    def freeze(self) -> None:
        """SIGSTOP, and waits until it stands still: it holds its connections and answers nothing."""
        freeze(self._process)

    def thaw(self) -> None:
        """SIGCONT."""
        thaw(self._process)

    def kill(self) -> None:
        """kill -9, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """SIGTERM, and waits until it has ended in order."""
        self.signal(signal.SIGTERM)
        self._process.wait(30)

    def drain(self) -> None:
        """Lame duck mode, and waits for its end: JetStream is shut down at once, clients are sent away one by one after a grace
        period."""
        self.signal(signal.SIGUSR2)
        self._process.wait(60)
        assert "lame duck mode" in self.log.read_text(), self.log


# How long a new cluster may take to find a place for three replicas.
_PLACES_SECONDS = 20
# After so long a replica that has not caught up does not even try (seen on 2.10.26): its server is restarted, as its operator would.
_STUCK_SECONDS = 40


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
        # Before each server: its routes, and whoever asks by `url`. Empty: none.
        self._routes: list[Proxy] = []
        self._askers: list[Proxy] = []

    @property
    def url(self) -> str:
        """All servers, comma-separated."""
        return ",".join(f"nats://127.0.0.1:{asked.port}" for asked in self._askers or self.servers)

    def start(self) -> None:
        """Starts what does not run and waits until JetStream answers; a new cluster, until it has a place for three replicas."""
        is_new = not any((server.folder / "jetstream").exists() for server in self.servers)
        self._launch()
        if self._outside:
            self.wait_ready()
            if is_new and self.replicas > 1:
                self._wait_places()
        else:
            log = self.servers[0].log
            wait_until(lambda: "Server is ready" in log.read_text(), 30, f"nats-server is ready: {log}")

    def _launch(self) -> None:
        for server in self.servers:
            if not server.running:
                server.launch()

    def _wait_places(self) -> None:
        """2.10.26 comes up now and then, on a busy machine, with a leader that never hears of one of the servers: a new cluster, in
        which nothing is yet, is then started again."""
        for is_last in (False, False, True):
            try:
                wait_until(lambda: asyncio.run(self._places()), _PLACES_SECONDS, f"{self.label} places replicas", 0.1)
                return
            except AssertionError:
                if is_last:
                    raise
            self.kill()
            self._launch()
            self.wait_ready()

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

    async def _places(self) -> bool:
        """A leader answers before it has heard of every server: until then it finds no place for a stream's replicas."""
        connection = await nats.connect(f"nats://127.0.0.1:{self.servers[0].port}", allow_reconnect=False, connect_timeout=2,
                                        error_cb=_ignore)
        try:
            context = connection.jetstream(timeout=5)
            await context.add_stream(name="placed", subjects=["placed"], num_replicas=self.replicas, storage="memory")
            return await context.delete_stream("placed")
        finally:
            await connection.close()

    def put_proxies_between(self) -> None:
        """Restarts a cluster with its routes through proxies, so that they can be cut; clients still reach every server at its
        port.

        `url` then leads through proxies too, which are cut as long as routes are: a leader that does not know yet that it is
        none, and one that has only just become it, tell those who judge what they had before.
        """
        self.kill()
        self._routes = [Proxy(server.route_port, names_itself=_SERVER_NAME) for server in self.servers]
        self._askers = [Proxy(server.port) for server in self.servers]
        for server, own in zip(self.servers, self._routes):
            server.route_to([proxy.port for proxy in self._routes if proxy is not own], own.port)
        self.start()

    def isolate(self, server: NatsServer) -> None:
        """Cuts it off from the other servers, until `join`."""
        for asker in self._askers:
            asker.cut()
        for other, route in zip(self.servers, self._routes):
            route.cut(None if other is server else server.folder.name)

    def part(self) -> None:
        """Cuts every server off from the others, until `join`."""
        for proxy in (*self._askers, *self._routes):
            proxy.cut()

    def join(self, stream: str) -> None:
        """The servers reach each other again; returns when they agree who leads that stream, and its leader has heard of all
        and has what any of them has."""
        for proxy in self._routes:
            proxy.mend()
        joined = time.monotonic()
        restart_at = joined + _STUCK_SECONDS

        def agree() -> bool:
            nonlocal restart_at
            agreed, behind = asyncio.run(self._agree(stream, joined))
            if behind and time.monotonic() > restart_at:
                restart_at += _STUCK_SECONDS
                for server in behind:
                    server.kill()
                self.start()
            return agreed

        wait_until(agree, 120, f"all follow one leader of {stream}", 0.2)
        for proxy in self._askers:
            proxy.mend()

    async def _agree(self, stream: str, joined: float) -> tuple[bool, list[NatsServer]]:
        """Whether they do, and whose replica the leader calls behind."""
        held = 0
        for server in self.servers:
            # Answered by the server that is asked: each has a replica.
            last = await _ask(server, f"$JS.API.DIRECT.GET.{stream}", {"last_by_subj": ">"})
            held = max(held, int((last.headers or {}).get("Nats-Sequence", 0)))
        leaders = set()
        for server in self.servers:
            since = time.monotonic() - joined
            info = json.loads((await _ask(server, f"$JS.API.STREAM.INFO.{stream}")).data)
            leaders.add(info["cluster"]["leader"])
            replicas = info["cluster"]["replicas"]
            heard = all(each["current"] and each["active"] < since * 1e9 for each in replicas)
            if not heard or info["state"]["last_seq"] < held:
                behind = {each["name"] for each in replicas if not each["current"]}
                return False, [server for server in self.servers if server.folder.name in behind]
        return len(leaders) == 1, []

    def kill(self) -> None:
        """kill -9 of every server."""
        for server in self.servers:
            server.kill()

    def pause(self) -> None:
        """Freezes every server."""
        for server in self.servers:
            server.freeze()

    def resume(self) -> None:
        """Thaws every server."""
        for server in self.servers:
            server.thaw()

    def close(self) -> None:
        """Ends what runs."""
        for server in self.servers:
            if server.running:
                server.kill()
        for proxy in (*self._routes, *self._askers):
            proxy.close()


# In the INFO that a server sends over a route that it opened.
_SERVER_NAME = re.compile(rb'"server_name":"([^"]+)"')


def _cluster(route_port: int, routes: list[int], more: str = "") -> str:
    """The configuration's line about the other servers."""
    peers = ", ".join(f'"nats://127.0.0.1:{peer}"' for peer in routes)
    return f"cluster {{ name: slotstream, listen: 127.0.0.1:{route_port}, routes: [{peers}]{more} }}"


async def _ask(server: NatsServer, subject: str, request: dict | None = None):
    """The answer to a request to that server itself."""
    connection = await nats.connect(f"nats://127.0.0.1:{server.port}", allow_reconnect=False, connect_timeout=2,
                                    error_cb=_ignore)
    try:
        return await connection.request(subject, json.dumps(request).encode() if request else b"", timeout=2)
    finally:
        await connection.close()


async def _ignore(_error) -> None:
    """nats-py logs connection errors unless it is told otherwise; the caller sees them anyway."""
