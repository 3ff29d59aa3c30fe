"""Webhooks: what is sent, how it is signed, and what each answer does."""

import json
import re
import time

import pytest

from answers import DRIP_SECONDS, Plan
from hooks import SIGNATURE, signature_fault
from places import place, place_maker, places  # noqa: F401
from servers.tools import free_port, wait_until
from worker import QUICK_RETRY, SECRET, observer, webhook


def _started(place, *actions: dict, overrides: dict | None = None, environment: dict | None = None, **more):
    return place.started({"hook": observer(*actions, **more)}, overrides, environment=environment)


# What is sent


def test_a_webhook_has_the_row_the_events_id_and_its_signature(place):
    _started(place, webhook(place.receiver.url("/hook?tenant=7"), signing_secret=SECRET, headers={"Authorization": "Bearer abc", "X-Shop": "nord"}))
    order = place.order(more={"note": 'ä "quoted" \\ line\nbreak 🎉', "price": 12345678901234567890, "nothing": None})
    (arrival,) = place.wait_arrivals(1, "/hook?tenant=7")
    assert arrival.method == "POST" and arrival.key == order.id
    assert arrival.headers["content-type"] == "application/json" and arrival.headers["nats-msg-id"] == order.id
    assert arrival.headers["authorization"] == "Bearer abc" and arrival.headers["x-shop"] == "nord"
    assert signature_fault(arrival, SECRET) is None
    assert abs(int(arrival.headers[SIGNATURE.lower()].split(",")[0][2:]) - time.time()) < 300
    # The row alone, byte for byte as it is in the event.
    assert arrival.body.encode() == json.dumps(order.row).encode()
    place.wait_idle()
    assert not place.stream.dead()


def test_without_a_secret_nothing_is_signed(place):
    _started(place, webhook(place.receiver.url()))
    place.order()
    (arrival,) = place.wait_arrivals(1)
    assert SIGNATURE.lower() not in arrival.headers


def test_address_and_secret_come_from_the_environment(place):
    _started(place, {"type": "webhook", "url_env": "THE_HOOK", "signing_secret_env": "THE_SECRET", "method": "PUT"},
             environment={"THE_HOOK": place.receiver.url("/there"), "THE_SECRET": "another secret"})
    place.order()
    (arrival,) = place.wait_arrivals(1, "/there")
    assert arrival.method == "PUT" and signature_fault(arrival, "another secret") is None


@pytest.mark.parametrize("form", ["slotstream", "fraiseql", "cloudevents"])
def test_every_format_gives_the_same_row(pair, places, form):
    place = places(pair.nats)
    _started(place, webhook(place.receiver.url()), overrides={"events": {"format": form}})
    orders = place.publish(1, form=form)
    (arrival,) = place.wait_arrivals(1)
    assert arrival.json == orders[0].row and arrival.key == orders[0].id


_TEMPLATES = {
    "both spellings": ('["{{ id }}", "{{ data.id }}", "{{ event.id }}", "{{ event.event_type }} of {{ event.entity_type }}", {{ total }}]',
                       lambda order: [order.entity_id, order.entity_id, order.id, "INSERT of Order", 12.5]),
    "texts are escaped": ('{"note": "{{ note }}"}', lambda order: {"note": order.more["note"]}),
    "what is no JSON is a text": ("Order {{ id }} costs {{ total }}", lambda order: f"Order {order.entity_id} costs 12.5"),
    "FraiseQL's example": ('{"event_id": "{{ event.id }}", "data": {{ event.data }}}', lambda order: {"event_id": order.id, "data": order.row}),
    "what is not there stays": ('{"a": "{{ missing }}", "b": "{{id}}", "c": "{{  id  }}"}',
                                lambda order: {"a": "{{ missing }}", "b": "{{id}}", "c": "{{  id  }}"}),
}


@pytest.mark.parametrize("case", _TEMPLATES)
def test_a_body_of_a_template(place, case):
    template, expected = _TEMPLATES[case]
    _started(place, webhook(place.receiver.url(), body_template=template, signing_secret=SECRET))
    order = place.order(more={"note": 'a "quote", a \\ and\r\nX-Evil: 1\r\n\r\n{{ id }}'})
    (arrival,) = place.wait_arrivals(1)
    assert arrival.json == expected(order) and signature_fault(arrival, SECRET) is None
    assert arrival.headers["content-type"] == "application/json" and "x-evil" not in arrival.headers


def test_an_id_that_no_header_can_carry_is_encoded(place):
    _started(place, webhook(place.receiver.url()))
    body = json.loads(place.order().body())
    identifier = "a b/ä%\t1"
    place.stream.publish_raw("Order.INSERT", json.dumps(body | {"id": identifier}).encode())
    arrivals = place.wait_arrivals(2)
    assert arrivals[1].key.isascii() and arrivals[1].key.isprintable()
    assert re.fullmatch(r"a(%20| )b/%C3%A4%25%091", arrivals[1].key), arrivals[1].key
    place.wait_idle()


# What an answer does


def _letter(place) -> dict:
    (letter,) = place.wait_dead(1)
    place.wait_idle()
    return letter


@pytest.mark.parametrize("status", [400, 401, 404, 410, 422])
def test_a_refusal_is_a_dead_letter_at_once(place, status):
    place.receiver.answers({"kind": "no", "status": status})
    _started(place, webhook(place.receiver.url()))
    order = place.order()
    letter = _letter(place)
    assert len(place.arrivals()) == 1
    assert letter["schema"] == "slotstream.dead_letter/1" and letter["reason"] == "permanent" and str(status) in letter["error"]
    assert (letter["event_id"], letter["stream"], letter["consumer"], letter["observer"]) == (
        order.id, place.name, "fraiseql_observer_worker", "hook")
    assert letter["action"] == {"index": 0, "type": "webhook"} and letter["attempts"] == 1 and letter["deliveries"] == 1
    assert letter["sequence"] == 1 and letter["subject"] == f"{place.stream.prefix}.Order.INSERT"
    assert letter["event"] == json.loads(order.body()) and letter["first_at"] <= letter["last_at"]
    assert letter["_subject"] == f"{place.name}_dead.Order.INSERT" and letter["_id"] == f"{order.id}.dead.fraiseql_observer_worker.hook"


@pytest.mark.parametrize("kind", ["500", "503", "early", "lost", "cut"])
def test_a_failure_is_tried_again_and_then_a_dead_letter(place, kind):
    place.receiver.plan(Plan(paths={"/hook": [kind]}, honours_keys=False))
    _started(place, webhook(place.receiver.url(), signing_secret=SECRET), retry=QUICK_RETRY | {"max_attempts": 3})
    order = place.order()
    letter = _letter(place)
    assert (letter["reason"], letter["attempts"], letter["event_id"]) == ("attempts_exhausted", 3, order.id), letter
    arrivals = place.arrivals()
    # An answer that was cut is one attempt each; libcurl may send again what went into a connection that was closed before it.
    assert len(arrivals) >= 3 and {arrival.key for arrival in arrivals} == {order.id} and len({arrival.body for arrival in arrivals}) == 1


@pytest.mark.parametrize("kind", ["500", "503", "429", "early", "cut", "lost", "hang"])
def test_a_failure_that_passes_is_no_dead_letter(place, kind):
    place.receiver.answers(kind, "ok")
    worker = _started(place, webhook(place.receiver.url()), timeout_ms=500)
    order = place.order()
    place.wait_idle()
    assert not place.stream.dead() and {arrival.key for arrival in place.arrivals()} == {order.id}
    assert worker.metric("fraiseql_observer_events_processed_total") == 1 and worker.metric("fraiseql_observer_events_failed_total") == 0
    assert worker.metric("fraiseql_observer_events_retried_total") >= 1


def test_retry_after_is_heeded(place):
    place.receiver.answers({"kind": "busy", "status": 429, "headers": {"Retry-After": "2"}}, "ok")
    _started(place, webhook(place.receiver.url()))
    place.order()
    first, second = place.wait_arrivals(2)
    assert second.at - first.at >= 2 * 10**9, (second.at - first.at) / 1e9


def test_an_answer_that_comes_slowly_counts(place):
    place.receiver.answers("drip")
    _started(place, webhook(place.receiver.url()), timeout_ms=int(DRIP_SECONDS * 1000) + 20_000)
    place.order()
    place.wait_idle()
    assert len(place.arrivals()) == 1 and not place.stream.dead()


def test_a_redirect_is_not_followed(place):
    place.receiver.answers({"kind": "elsewhere", "status": 307, "headers": {"Location": place.receiver.url("/elsewhere")}})
    _started(place, webhook(place.receiver.url()))
    place.order()
    letter = _letter(place)
    assert letter["reason"] == "permanent" and "redirect" in letter["error"], letter
    assert not place.arrivals("/elsewhere") and len(place.arrivals()) == 1


def test_an_answer_without_end_costs_no_memory(place):
    place.receiver.answers({"kind": "huge", "filler": 300 << 20})
    worker = _started(place, webhook(place.receiver.url()))
    place.order()
    place.wait_arrivals(1)
    place.wait_idle(120)
    assert worker.peak_memory() < 80 << 20, worker.peak_memory()
    # Whether that is an answer or not: the worker goes on.
    place.receiver.answers("ok")
    order = place.order()
    place.wait_idle()
    assert place.arrivals()[-1].key == order.id


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"])
def test_a_private_host_is_refused_unless_it_is_allowed(place, host):
    url = f"http://{host}:{place.receiver.port}/hook"
    worker = place.worker({"hook": observer(webhook(url))}, {"observer_worker": {"allow_private_hosts": False}})
    worker.start(wait=False)
    place.order()
    # Told at the start, or with the first event: nothing is sent.
    wait_until(lambda: not worker.running or place.stream.dead(), 60, "it is refused")
    assert not place.arrivals()
    if worker.running:
        (letter,) = place.stream.dead()
        assert letter["reason"] == "permanent", letter
    else:
        assert worker.process.returncode == 78 and "allow_private_hosts" in worker.last_words()


def test_a_host_that_only_fails_is_left_alone_for_a_while_and_no_attempt_is_used(place):
    place.receiver.answers("503")
    worker = _started(place, webhook(place.receiver.url()), retry={"max_attempts": 7, "initial_delay_ms": 1, "max_delay_ms": 1})
    orders = place.publish(40)
    series = f'slotstream_observer_breaker_open{{host="127.0.0.1:{place.receiver.port}"}}'
    wait_until(lambda: re.search(rf"^{re.escape(series)} 1$", worker.get("/metrics"), re.MULTILINE), 30, "it is left alone")
    place.receiver.answers("ok")
    place.wait_idle()
    assert not place.stream.dead(), "they waited"
    assert {arrival.key for arrival in place.arrivals() if arrival.told} == {order.id for order in orders}
    wait_until(lambda: not re.search(rf"^{re.escape(series)} 1$", worker.get("/metrics"), re.MULTILINE), 30, "it is used again")


def test_a_receiver_that_is_not_there_yet_is_waited_for(place):
    port = free_port()
    worker = _started(place, webhook(f"http://127.0.0.1:{port}/hook"), retry=QUICK_RETRY | {"max_attempts": 20})
    place.order()
    wait_until(lambda: worker.metric("fraiseql_observer_events_retried_total") > 0, 30, "it has tried again")
    assert not place.is_idle() and not place.stream.dead()
    assert worker.get("/livez") and worker.get("/readyz")
