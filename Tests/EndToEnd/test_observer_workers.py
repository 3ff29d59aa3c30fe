"""Several workers of one consumer: who works, who takes over, and what becomes of an event that kills whoever does it."""

import asyncio
import json
import time

import pytest

import stream
from deliveries import Judge
from orders import Order
from places import CONSUMER, Place, place_maker, places  # noqa: F401
from servers.tools import wait_until
from worker import SECRET, Worker

# A takeover may take so long at most: nobody waits longer than this for its events, and a noisy machine for less than the rest of a minute.
_ACK_WAIT = 3
_SECONDS = _ACK_WAIT + 60

_UNORDERED = {"observer_worker": {"ordered": False}}


def _roles(*workers: Worker) -> list[str]:
    return sorted(worker.role or "-" for worker in workers)


def _active(*workers: Worker) -> Worker:
    return next(worker for worker in workers if worker.role == "active")


def _judged(place: Place, orders: list, is_ordered: bool = True) -> None:
    Judge(place.receiver.current, SECRET, is_ordered).judge(orders, place.arrivals(), place.stream.dead()).require_right()


def test_with_order_one_works_and_the_others_stand_by(pair, places):  # noqa: F811
    place = places(pair.nats, ack_wait=_ACK_WAIT)
    workers = [place.started() for _ in range(3)]
    wait_until(lambda: _roles(*workers) == ["active", "standby", "standby"], 30, "one works, two stand by")
    # Whoever stands by is ready too, and says which it is.
    assert {json.loads(worker.get("/readyz"))["role"] for worker in workers} == {"active", "standby"}
    orders = place.publish(50)
    place.wait_idle()
    _judged(place, orders)
    done = {worker: worker.metric("fraiseql_observer_events_processed_total") for worker in workers}
    assert sorted(done.values()) == [0, 0, 50] and done[_active(*workers)] == 50


def test_without_order_all_work(pair, places):  # noqa: F811
    place = places(pair.nats, ack_wait=_ACK_WAIT)
    place.receiver.answers("drip")
    workers = [place.started(overrides=_UNORDERED) for _ in range(2)]
    wait_until(lambda: _roles(*workers) == ["active", "active"], 30, "both work")
    orders = place.publish(400)
    place.wait_idle()
    _judged(place, orders, is_ordered=False)
    done = [worker.metric("fraiseql_observer_events_processed_total") for worker in workers]
    assert sum(done) == 400 and all(done), done


@pytest.mark.parametrize("way", ["killed", "frozen"])
@pytest.mark.parametrize("is_ordered", [True, False], ids=["ordered", "unordered"])
def test_another_takes_over_what_a_worker_had(pair, places, way, is_ordered):  # noqa: F811
    place = places(pair.nats, ack_wait=_ACK_WAIT, max_deliver=10)
    # What it has in flight hangs at first: it is in the middle of it.
    place.receiver.answers("hang", "ok")
    overrides = None if is_ordered else _UNORDERED
    first = place.started(overrides=overrides)
    orders = [place.order("one"), place.order("two")]
    place.wait_arrivals(2)
    second = place.started(overrides=overrides)
    wait_until(lambda: second.role == ("standby" if is_ordered else "active"), 30, "it knows what it is there for")
    orders += [place.order("one", "UPDATE", changes={}), place.order("three")]
    if way == "killed":
        first.kill()
    else:
        first.freeze()
    place.wait_idle(_SECONDS)
    wait_until(lambda: second.role == "active", 30, "the other one works")
    if way == "frozen":
        # It wakes up as somebody whose place is taken.
        first.thaw()
        wait_until(lambda: first.role == ("standby" if is_ordered else "active"), 60, "the one that was frozen knows")
        orders += [place.order("one", "UPDATE", changes={}), place.order("four")]
        place.wait_idle()
    place.receiver.answers("ok")
    _judged(place, orders, is_ordered)


def test_a_worker_that_ends_in_order_is_followed_at_once(pair, places):  # noqa: F811
    # Nobody waits for the ack: far longer than this test may take.
    place = places(pair.nats, ack_wait=300)
    workers = [place.started() for _ in range(2)]
    wait_until(lambda: _roles(*workers) == ["active", "standby"], 30, "one works")
    orders = place.publish(5)
    place.wait_idle()
    first = _active(*workers)
    assert first.terminate() == 0
    orders += place.publish(5)
    place.wait_idle()
    _judged(place, orders)
    assert [worker.role for worker in workers if worker is not first] == ["active"]


def _pull(place: Place) -> None:
    """Somebody asks the consumer for a message: only then the server sees that one has run out of deliveries."""
    config = place.stream.consumer()["config"]
    group = {"group": config["priority_groups"][0]} if config.get("priority_groups") else {}
    try:
        place.administrator.api(f"CONSUMER.MSG.NEXT.{place.name}.{CONSUMER}", batch=1, expires=10**9, **group)
    except Exception:  # noqa: BLE001 - there is none, or somebody else's place is not free yet
        pass


@pytest.mark.parametrize("is_ordered", [True, False], ids=["ordered", "unordered"])
def test_an_event_that_runs_out_while_nobody_works_is_a_dead_letter_once(pair, places, is_ordered):  # noqa: F811
    place = places(pair.nats, ack_wait=1, max_deliver=2)
    place.receiver.answers("hang")
    overrides = None if is_ordered else _UNORDERED
    (order,) = place.publish(1)
    for delivery in (1, 2):
        worker = place.started(overrides=overrides)
        place.wait_arrivals(delivery)
        worker.kill()
    advisories = f"{place.name}_advisories"

    def told() -> bool:
        _pull(place)
        return place.administrator.state(advisories)["messages"] == 1

    wait_until(told, 60, "the server has told that it gives up", 0.5)
    assert not place.stream.dead()
    place.receiver.answers("ok")
    worker = place.started(overrides=overrides)
    (letter,) = place.wait_dead(1)
    assert (letter["reason"], letter["event_id"], letter["attempts"], letter["deliveries"]) == ("max_deliver", order.id, 0, 2), letter
    assert "observer" not in letter and "action" not in letter and letter["event"] == json.loads(order.body())
    # Once, also for the next one; and it does what comes then.
    assert worker.terminate() == 0
    place.started(overrides=overrides)
    (next_order,) = place.publish(1)
    place.wait_idle()
    assert [arrival.key for arrival in place.arrivals()] == [order.id, order.id, next_order.id]
    assert len(place.stream.dead()) == 1


def test_an_event_that_kills_its_worker_each_time_is_a_dead_letter_and_nobody_else_is(pair, places):  # noqa: F811
    place = places(pair.nats, ack_wait=1, max_deliver=3)
    worker = place.started()
    orders = place.publish(20)
    place.wait_idle()
    place.receiver.answers("hang", key=Order(21, "").id)
    poison = place.order("deadly")
    # The receiver has the key, and the worker is gone: as from an action that crashes it.
    for delivery in (1, 2, 3):
        place.receiver.wait(lambda arrivals, delivery=delivery: sum(arrival.key == poison.id for arrival in arrivals) >= delivery,
                            f"delivery {delivery} reaches the receiver")
        # Only that one is under way.
        wait_until(lambda: {order.id for order in orders} <= {arrival.key for arrival in place.arrivals() if arrival.told}, 60, "all others are done")
        worker.kill()
        if delivery == 1:
            orders += place.publish(20)
        worker.start()
    (letter,) = place.wait_dead(1)
    assert (letter["reason"], letter["event_id"], letter["deliveries"]) == ("max_deliver", poison.id, 3), letter
    orders += [place.order("deadly", "UPDATE", changes={}), *place.publish(20)]
    place.wait_idle()
    told = {arrival.key for arrival in place.arrivals() if arrival.told}
    assert {order.id for order in orders} <= told and len(place.stream.dead()) == 1
    assert sum(arrival.key == poison.id for arrival in place.arrivals()) == 3


def test_waiting_events_are_not_delivered_again(pair, places):  # noqa: F811
    """The events behind one that is retried wait for longer than ack_wait, in one delivery each."""
    place = places(pair.nats, ack_wait=1, max_deliver=2)
    place.receiver.answers("500")
    began = time.monotonic()
    retry = {"max_attempts": 9, "initial_delay_ms": 700, "max_delay_ms": 700, "backoff_strategy": "fixed"}
    observers = {name: values | {"retry": retry} for name, values in place.worker().observers.items()}
    place.started(observers)
    orders = [place.order("one"), *(place.order("one", "UPDATE", changes={}) for _ in range(5))]
    place.wait_arrivals(5)
    assert {arrival.key for arrival in place.arrivals()} == {orders[0].id}
    place.receiver.answers("ok")
    place.wait_idle()
    assert time.monotonic() - began > 2, "longer than ack_wait"
    _judged(place, orders)
    assert place.stream.consumer()["delivered"]["consumer_seq"] == len(orders), "one delivery each"


def test_a_pinned_client_that_asks_for_nothing_loses_its_place(newest_pair, places):  # noqa: F811
    """Why the lease decides with any consumer: a worker whose events all wait for a retry asks for nothing, and keeps its lease."""
    place = places(newest_pair.nats)
    config = {"durable_name": "pinned", "name": "pinned", "ack_policy": "explicit", "ack_wait": 30 * 10**9, "filter_subject": f"{place.stream.prefix}.>",
              "priority_groups": ["workers"], "priority_policy": "pinned_client", "priority_timeout": 10**9}
    place.administrator.api(f"CONSUMER.CREATE.{place.name}.pinned", stream_name=place.name, config=config)
    orders = place.publish(2)

    async def pull() -> list[tuple[str, str]]:
        connection = await stream.connect(place.administrator.url)
        try:
            inboxes = [await connection.subscribe(connection.new_inbox()) for _ in range(2)]
            got = []
            for inbox in inboxes:
                request = json.dumps({"batch": 1, "expires": 20 * 10**9, "group": "workers"}).encode()
                await connection.publish(f"$JS.API.CONSUMER.MSG.NEXT.{place.name}.pinned", request, reply=inbox.subject)
                message = await inbox.next_msg(timeout=20)
                got.append((message.headers["Nats-Msg-Id"], message.headers["Nats-Pin-Id"]))
            return got
        finally:
            await connection.close()

    (first, pin), (second, other) = asyncio.run(pull())
    # The first client has acknowledged nothing, and the second has what comes after it.
    assert [first, second] == [order.id for order in orders] and pin != other
