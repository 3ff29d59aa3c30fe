"""The judge of the observer tests: a run without faults is found right, each planted fault is found, and so are workers that break the promise.

The worker here is `minimal_worker.py`, not the program."""

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from answers import KINDS, Plan
from conftest import PAIRS
from deliveries import Judge
from hooks import Arrival, Receiver
from misdeliveries import FAULTS, require_found
from orders import Order, OrderStream, history
from servers.nats import Nats
from servers.tools import dying_with_us, wait_until
from watched import add_consumer

_SECRET = "whsec_judge"
_CONSUMER = "minimal"
_PROGRAM = Path(__file__).resolve().parent / "minimal_worker.py"


@contextmanager
def _worked(folder: Path, plan: Plan, orders: list[Order], *options: str) -> Iterator[tuple[Receiver, OrderStream, Callable[[], subprocess.Popen]]]:
    """The orders are published, the receiver waits, and what is called starts a worker."""
    nats = Nats(PAIRS[-1].nats, folder / "nats")
    receiver = None
    started: list[subprocess.Popen] = []
    try:
        nats.start()
        receiver = Receiver(folder / "receiver", plan)
        stream = OrderStream(nats.url)
        stream.create()
        stream.administrator.add(f"{stream.name}_dead", subjects=[f"{stream.name}_dead.>"])
        add_consumer(nats, stream.name, _CONSUMER, ack_wait=2 * 10**9)
        stream.publish(orders)

        def start() -> subprocess.Popen:
            command = [*dying_with_us(), sys.executable, str(_PROGRAM), nats.url, stream.name, _CONSUMER, receiver.url(), _SECRET, *options]
            started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True))
            return started[-1]

        yield receiver, stream, start
    finally:
        for process in started:
            process.kill()
            process.wait()
        if receiver:
            receiver.close()
        nats.close()


def _wait_acknowledged(stream: OrderStream, count: int) -> None:
    wait_until(lambda: stream.consumer(_CONSUMER)["ack_floor"]["stream_seq"] >= count, 60, f"{count} events are acknowledged", 0.1)


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> tuple[list[Order], list[Arrival], list[dict], Plan]:
    """A run with faults of every kind, with nothing wrong in it."""
    orders = history(1500, 150, seed=11)
    plan = Plan(seed=11)
    with _worked(tmp_path_factory.mktemp("judge"), plan, orders) as (receiver, stream, start):
        start()
        _wait_acknowledged(stream, len(orders))
        return orders, receiver.arrivals(), stream.dead(), plan


def test_a_run_in_which_all_is_well_is_right(good, report):
    orders, arrivals, dead, plan = good
    outcome = Judge(plan, _SECRET).judge(orders, arrivals, dead).require_right()
    assert set(outcome.dead) == {"permanent", "attempts_exhausted"}
    assert {arrival.answer for arrival in arrivals} >= {"ok", "bye", "500", "503", "400", "early", "cut", "lost", "repeat"}
    report(f"a minimal worker: {outcome}")


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(good, fault, seed, report):
    orders, arrivals, dead, plan = good
    planted = FAULTS[fault]((orders, arrivals, dead), random.Random(seed))
    require_found(planted, Judge(plan, _SECRET), orders)
    report(f"deliveries: planted fault found: {fault}: {planted.named[0]}")


def test_comparing_nothing_fails(good):
    with pytest.raises(AssertionError, match="nothing was compared"):
        Judge(good[3]).judge([], [], []).require_right()


def _wrong(folder: Path, *options: str, kill_at: int | None = None) -> set[str]:
    """The kinds of what is wrong with a worker of these options, which is killed when so much has arrived, and started again."""
    orders = history(600, 20, seed=5)
    plan = Plan(seed=5)
    with _worked(folder, plan, orders, *options) as (receiver, stream, start):
        worker = start()
        if kill_at:
            receiver.wait_count(kill_at)
            worker.kill()
            worker.wait()
            worker = start()
        _wait_acknowledged(stream, len(orders))
        # What it has acknowledged and not done yet it does now.
        worker.terminate()
        assert worker.wait(60) == 0
        return {difference.kind for difference in Judge(plan, _SECRET).judge(orders, receiver.arrivals(), stream.dead()).differences}


def test_a_worker_that_acknowledges_first_loses_events_when_it_is_killed(folder):
    assert "lost" in _wrong(folder, "--careless", kill_at=150)


def test_a_worker_without_lanes_does_events_out_of_order(folder):
    assert _wrong(folder, "--unordered") == {"reordered"}


def test_every_kind_of_answer_is_planned():
    plan = Plan(seed=1)
    answers = [plan.answer("/hook", f"k{number}", attempt) for number in range(20000) for attempt in (1, 2, 3)]
    assert {answer.kind for answer in answers} == set(KINDS) - {"404"}
    # A key that is not doomed is done at its fourth arrival at the latest.
    assert all(plan.answer("/hook", key, plan.passing + 1).is_seen for key in map(str, range(5000)) if plan.fate(key) == "done")
