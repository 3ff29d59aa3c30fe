"""Workers, and their nats-server, killed at moments that a seed chooses, until all events are done or dead."""

import random
import threading
import time
from pathlib import Path

import stream
from answers import Plan
from deliveries import Judge, Outcome
from orders import history
from places import CONSUMER, PINNED, Place
from servers.nats import Nats
from watched import add_consumer
from worker import QUICK_RETRY, SECRET, signed_webhooks

# No event dies of its workers' deaths here: that has tests of its own.
_MANY_DELIVERIES = 1000
_ACK_WAIT = 2
# What hangs is given up after so long, in milliseconds.
_PATIENCE = 1000


class HurtWorkers:
    """Workers of one consumer, on servers of their own, that are killed and started again. `is_pinned`: an administrator has made the consumer so
    that it serves one client at a time."""

    def __init__(self, version: str, folder: Path, seed: int, is_ordered: bool, is_pinned: bool = False, workers: int = 2):
        self._choice = random.Random(seed)
        self._plan = Plan(seed=seed)
        self._is_ordered = is_ordered
        self.kills = self.outages = 0
        self._nats = Nats(version, folder / "nats")
        self._place: Place | None = None
        try:
            self._nats.start()
            self._place = Place(self._nats, folder, ack_wait=_ACK_WAIT, max_deliver=_MANY_DELIVERIES, plan=self._plan)
            if is_pinned:
                add_consumer(self._nats, self._place.name, CONSUMER, ack_wait=_ACK_WAIT * 10**9, max_deliver=_MANY_DELIVERIES, **PINNED)
            observers = signed_webhooks(self._place.receiver, timeout_ms=_PATIENCE, retry=QUICK_RETRY)
            for _ in range(workers):
                self._place.worker(observers, {"observer_worker": {"ordered": is_ordered}, "log": {"level": "info"}})
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Ends all."""
        if self._place:
            self._place.close()
        self._nats.close()

    def run(self, count: int, entities: int, kills: int, outages: int, seconds: float) -> Outcome:
        """So many events of so many orders; after each of so many seeded counts of requests a worker is killed, or nats-server. Returns what was
        compared."""
        place = self._place
        orders = history(count, entities, self._choice.randrange(2**31))
        moments = sorted((self._choice.randrange(1, count), what) for what in ["worker"] * kills + ["nats"] * outages)
        # The first half is a backlog, the rest comes while they work.
        place.stream.publish(orders[:count // 2])
        for worker in place.workers:
            worker.start()
        publishing = Publishing(place, orders[count // 2:])
        deadline = time.monotonic() + seconds
        while moments or not (publishing.is_done and self._is_idle()):
            assert time.monotonic() < deadline, f"not within {seconds:g} s; {place.receiver.count()} requests so far; {place.folder}"
            for worker in place.workers:
                assert worker.running, f"a worker ended with {worker.process.returncode}: {worker.last_words()}"
            while moments and place.receiver.count() >= moments[0][0]:
                self._hurt(moments.pop(0)[1])
            time.sleep(0.05)
        publishing.require_done()
        for worker in place.workers:
            assert worker.terminate() == 0, worker.last_words()
        # An outage may have let a later one be stored before an earlier one: what counts is the stream's order.
        stored = {event.id: event.sequence for event in stream.read(self._nats.url)}
        assert len(stored) == count, f"{len(stored)} events are stored"
        orders.sort(key=lambda order: stored[order.id])
        return Judge(self._plan, SECRET, self._is_ordered).judge(orders, place.arrivals(), place.stream.dead())

    def _is_idle(self) -> bool:
        try:
            return self._place.is_idle()
        except Exception:  # noqa: BLE001 - a server that was killed answers in many ways
            return False

    def _hurt(self, what: str) -> None:
        if what == "nats":
            self.outages += 1
            self._nats.kill()
            time.sleep(self._choice.uniform(0, 2))
            self._nats.start()
        else:
            self.kills += 1
            worker = self._choice.choice(self._place.workers)
            worker.kill()
            worker.start(wait=False)


class Publishing:
    """Publishes orders beside all else, again where the server was away: each is stored once, by its id."""

    _STEP = 100

    def __init__(self, place: Place, orders: list):
        self._place, self._orders = place, orders
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._publish, daemon=True)
        self._thread.start()

    @property
    def is_done(self) -> bool:
        """Whether all are stored."""
        return not self._thread.is_alive()

    def require_done(self) -> None:
        """Fails if it ended early."""
        assert self.is_done and self._error is None, f"the orders were not published: {self._error!r}"

    def _publish(self) -> None:
        try:
            for start in range(0, len(self._orders), self._STEP):
                self._publish_step(self._orders[start:start + self._STEP])
        except BaseException as error:  # noqa: BLE001 - told by require_done
            self._error = error

    def _publish_step(self, orders: list) -> None:
        for attempt in range(60):
            try:
                return self._place.stream.publish(orders)
            except Exception:  # noqa: BLE001 - a server that was killed answers in many ways
                if attempt == 59:
                    raise
                time.sleep(0.5)
