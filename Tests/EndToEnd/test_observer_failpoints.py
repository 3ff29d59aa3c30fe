"""The worker killed and frozen at each moment inside it: what it had not acknowledged comes again, with the same key, and nothing is lost."""

import pytest

import failpoints
from deliveries import Judge
from orders import Order
from places import Place, place_maker, places  # noqa: F401
from servers.tools import wait_until
from worker import SECRET

# In the order in which an event meets them, and at which pass: the third action, the first dead letter, the third acknowledgement.
_POINTS = {"before_action": 3, "after_action": 3, "before_dead_letter": 1, "before_event_ack": 3}


def _begun(pair, places, point: str, action: str) -> tuple[Place, list[Order]]:  # noqa: F811
    """Ten events of two orders, the fourth of which is refused; a worker that does this to itself at that moment."""
    place = places(pair.nats, ack_wait=2, max_deliver=10)
    place.receiver.answers("400", key=Order(4, "").id)
    failpoints.start(place.worker(), point, action, _POINTS[point])
    orders = [place.order(f"order-{number % 2}", "UPDATE" if number > 1 else "INSERT", changes={}) for number in range(10)]
    wait_until(lambda: failpoints.reached(place.workers[0], action), 60, f"{point} is reached")
    return place, orders


def _require_right(place: Place, orders: list[Order]) -> None:
    place.wait_idle()
    outcome = Judge(place.receiver.current, SECRET).judge(orders, place.arrivals(), place.stream.dead()).require_right()
    assert outcome.dead == {"permanent": 1}


@pytest.mark.parametrize("point", _POINTS)
def test_killed_there_it_does_again_what_it_had_not_acknowledged(pair, places, point):  # noqa: F811
    place, orders = _begun(pair, places, point, "kill")
    place.workers[0].start()
    _require_right(place, orders)
    # What was done and not acknowledged came a second time, with its key.
    assert len(place.arrivals()) >= 10 + (point in ("after_action", "before_event_ack"))


@pytest.mark.parametrize("point", _POINTS)
def test_frozen_there_another_takes_over_and_it_stands_by_afterwards(pair, places, point):  # noqa: F811
    place, orders = _begun(pair, places, point, "stop")
    second = place.started()
    place.wait_idle()
    place.workers[0].thaw()
    wait_until(lambda: sorted(worker.role or "" for worker in place.workers) == ["active", "standby"], 60, "one of them works")
    assert second.role == "active"
    orders.append(place.order("order-1", "UPDATE", changes={}))
    _require_right(place, orders)
