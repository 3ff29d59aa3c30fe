"""Places where observer workers are tried: a nats-server that a file's tests share, and for each test a stream, a receiver and workers of its own."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from answers import Plan
from hooks import Arrival, Receiver
from orders import Order, OrderStream
from servers.nats import Nats
from servers.tools import wait_until
from worker import Worker, signed_webhooks

CONSUMER = "fraiseql_observer_worker"

# A consumer that serves one client at a time (nats-server 2.11 and later), and another when it has not asked for so long.
PINNED = {"priority_policy": "pinned_client", "priority_groups": ["observers"], "priority_timeout": 2 * 10**9}


class Place:
    """A stream of orders called `name`, a receiver, and workers, all in `folder`. `ack_wait` in seconds and `max_deliver` are the consumer's."""

    def __init__(self, nats: Nats, folder: Path, name: str = "fraiseql_events", prefix: str = "fraiseql.mutation", ack_wait: int = 30,
                 max_deliver: int = 3, plan: Plan = Plan(), create: bool = True):
        self.nats, self.folder, self.name = nats, folder, name
        self.stream = OrderStream(nats.url, name, prefix, nats.replicas)
        self.administrator = self.stream.administrator
        self.workers: list[Worker] = []
        self._consumer = {"transport.nats.jetstream": {"ack_wait_secs": ack_wait, "max_deliver": max_deliver}}
        self._orders = 0
        self.receiver = Receiver(folder / f"{name}-receiver", plan)
        try:
            if create:
                self.stream.create()
        except BaseException:
            self.receiver.close()
            raise

    def worker(self, observers: dict[str, dict] | None = None, overrides: dict[str, dict] | None = None, **options) -> Worker:
        """One more worker of the same consumer, not yet started; without `observers` it sends a signed webhook for each order made or changed."""
        merged = {table: dict(values) for table, values in self._consumer.items()}
        for table, values in (overrides or {}).items():
            merged[table] = merged.get(table, {}) | values
        made = Worker(self.folder / f"{self.name}-worker-{len(self.workers) + 1}", self.stream,
                      signed_webhooks(self.receiver) if observers is None else observers, merged, **options)
        self.workers.append(made)
        return made

    def started(self, observers: dict[str, dict] | None = None, overrides: dict[str, dict] | None = None, **options) -> Worker:
        """A worker that is ready."""
        made = self.worker(observers, overrides, **options)
        made.start()
        return made

    def order(self, entity_id: str | None = None, operation: str = "INSERT", **more) -> Order:
        """Publishes the next event, of an order of its own unless it is named."""
        return self.publish(1, entity_id, operation, **more)[0]

    def publish(self, count: int, entity_id: str | None = None, operation: str = "INSERT", form: str = "slotstream", **more) -> list[Order]:
        """Publishes the next events, in this format."""
        first = self._orders + 1
        self._orders += count
        orders = [Order(number, entity_id or f"order-{number}", operation, **more) for number in range(first, first + count)]
        self.stream.publish(orders, form)
        return orders

    def arrivals(self, path: str | None = "/hook") -> list[Arrival]:
        """What the receiver got there."""
        return self.receiver.arrivals(path)

    def wait_arrivals(self, count: int, path: str | None = "/hook", seconds: float = 60) -> list[Arrival]:
        """Until so many requests have arrived there."""
        self._alive()
        return self.receiver.wait_count(count, path, seconds)

    def is_idle(self) -> bool:
        """Whether every event is acknowledged."""
        info = self.stream.consumer()
        return info["num_pending"] == 0 and info["num_ack_pending"] == 0

    def wait_idle(self, seconds: float = 60) -> None:
        """Until every event is acknowledged."""
        wait_until(lambda: self._alive() and self.is_idle(), seconds, f"all events of {self.name} are acknowledged; {self.folder}", 0.05)

    def wait_dead(self, count: int, seconds: float = 60) -> list[dict]:
        """Until there are so many dead letters; returns them."""
        wait_until(lambda: self._alive() and len(self.stream.dead()) >= count, seconds, f"{count} dead letters of {self.name}; {self.folder}", 0.05)
        return self.stream.dead()

    def _alive(self) -> bool:
        """Waiting is in vain when all workers have ended by themselves."""
        started = [worker for worker in self.workers if worker.process is not None]
        failed = [worker for worker in started if not worker.running and worker.process.returncode not in (0, -9)]
        if failed and len(failed) == len(started):
            raise AssertionError(f"the worker ended with {failed[0].process.returncode}: {failed[0].last_words()}")
        return True

    def close(self) -> None:
        """Ends workers and receiver."""
        for worker in self.workers:
            worker.close()
        self.receiver.close()


class PlaceMaker:
    """Makes places, on nats-servers that are started when first asked for."""

    def __init__(self):
        self._servers: dict[tuple, tuple[Nats, Path]] = {}
        self._places: list[Place] = []
        self._count = 0

    def on(self, version: str, lines: tuple[str, ...] = ()) -> tuple[Nats, Path]:
        """The nats-server of this version and with these lines in its configuration, and a folder beside it."""
        key = (version, lines)
        if key not in self._servers:
            folder = Path(tempfile.mkdtemp(prefix="slotstream-observer-"))
            folder.chmod(0o755)
            nats = Nats(version, folder / "nats")
            for server in nats.servers:
                with server.config.open("a") as config:
                    config.write("".join(f"{line}\n" for line in lines))
            self._servers[key] = nats, folder
            nats.start()
        return self._servers[key]

    def __call__(self, version: str, lines: tuple[str, ...] = (), **options) -> Place:
        nats, folder = self.on(version, lines)
        self._count += 1
        place = Place(nats, folder, f"o{self._count}", f"observed.o{self._count}", **options)
        self._places.append(place)
        return place

    def close_places(self) -> None:
        """After each test; servers that it stopped run again."""
        while self._places:
            self._places.pop().close()
        for nats, _ in self._servers.values():
            nats.resume()
            nats.start()

    def close(self, keeps_folders: bool) -> None:
        """After the module."""
        for nats, folder in self._servers.values():
            nats.close()
            if keeps_folders:
                print(f"logs: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def place_maker(request):
    maker = PlaceMaker()
    failures = request.session.testsfailed
    yield maker
    maker.close(keeps_folders=request.session.testsfailed > failures)


@pytest.fixture
def places(place_maker) -> Callable[..., Place]:
    """Makes a place: `places("2.15.1", …)`."""
    yield place_maker
    place_maker.close_places()


@pytest.fixture
def place(places, pair) -> Place:
    """One with all that is usual, on the pair's nats-server."""
    return places(pair.nats)
