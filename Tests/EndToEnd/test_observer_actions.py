"""Which events an observer is for, in which order things are done, what becomes of what fails; and the actions `slack`, `log` and `nats`."""

import base64
import json

import pytest

from answers import Plan
from places import CONSUMER, place, place_maker, places  # noqa: F401
from servers.tools import wait_until
from worker import QUICK_RETRY, observer, webhook


def _hooks(place, **paths: dict) -> dict[str, dict]:
    """An observer a path, each with one webhook there."""
    return {name: observer(webhook(place.receiver.url(f"/{name}")), **more) for name, more in paths.items()}


def _paths(place) -> list[str]:
    return [arrival.path for arrival in place.receiver.arrivals()]


# Which events


def test_entity_and_event_type_choose_events(place):
    place.started(_hooks(place, orders={}, everything={"entity": "*"}, changed={"event_type": "update"}, custom={"event_type": "CUSTOM"},
                         removed={"event_type": "DELETE"}, users={"entity": "User"}, backfilled={"event_type": "READ"}))
    for operation, entity, expected in (
            ("INSERT", "Order", {"/orders", "/everything"}), ("UPDATE", "Order", {"/changed"}), ("DELETE", "Order", {"/removed"}),
            ("TRUNCATE", "Order", {"/custom"}), ("shipped", "Order", {"/custom"}), ("INSERT", "User", {"/users", "/everything"}),
            ("READ", "Order", {"/backfilled"})):
        before = len(_paths(place))
        place.order(operation=operation, entity=entity)
        place.wait_idle()
        assert set(_paths(place)[before:]) == expected, (operation, entity)


def test_an_observer_without_event_type_is_for_all(place):
    observers = _hooks(place, all={"entity": "*"})
    del observers["all"]["event_type"]
    place.started(observers)
    place.order()
    place.order(operation="UPDATE", changes={})
    place.order(operation="TRUNCATE", entity="User")
    # But for rows of a backfill, which may be a whole table's.
    place.order(operation="READ")
    place.wait_idle()
    # The user is no order: the two are in no order of each other.
    assert sorted(arrival.json["n"] for arrival in place.wait_arrivals(3, "/all")) == [1, 2, 3]


@pytest.mark.parametrize(("condition", "expected"), [
    ("total > 10", True), ("total > 12.5", False), ("total >= 12.50", True), ("data.status == 'pending'", True), ("!(status == 'paid')", True),
    ("status == 'paid' || has_field('n')", True), ("status != 'pending' && total > 1", False), ("has_field('missing')", False)])
def test_a_condition_chooses_events(place, condition, expected):
    place.started(_hooks(place, hook={"condition": condition}))
    place.order()
    place.wait_idle()
    assert (_paths(place) == ["/hook"]) == expected


def test_what_a_condition_needs_and_the_event_does_not_tell_skips_the_observer_and_is_counted(place):
    worker = place.started(_hooks(place, asks={"condition": "missing > 1"}, other={}))
    place.publish(3)
    place.wait_idle()
    assert _paths(place) == ["/other"] * 3 and not place.stream.dead()
    assert worker.metric('slotstream_observer_skipped_total') == 3
    told = [entry for entry in worker.log_entries() if entry["level"] == "warning" and "missing" in json.dumps(entry)]
    assert len(told) == 1, told


def test_changes_choose_events(place):
    place.started(_hooks(place, paid={"event_type": "UPDATE", "condition": "field_changed_to('status', 'paid')"},
                         price={"event_type": "UPDATE", "condition": "field_changed('total')"}))
    place.order(operation="UPDATE", changes={"status": {"old": "pending", "new": "paid"}}, more={"status": "paid"})
    place.wait_idle()
    assert _paths(place) == ["/paid"]
    # Nothing is told of what changed.
    place.order(operation="UPDATE")
    place.wait_idle()
    assert _paths(place) == ["/paid"] and not place.stream.dead()


def test_markers_are_no_events(place):
    worker = place.started(_hooks(place, hook={"entity": "*"}))
    marker = b'{"id":"1.gap.2","operation":"GAP","timestamp":"2026-11-23T07:09:12.123456+00:00","gap":{}}'
    place.stream.publish_raw("_slotstream.GAP", marker, "1.gap.2")
    place.order()
    place.wait_arrivals(1)
    place.wait_idle()
    assert _paths(place) == ["/hook"] and not place.stream.dead() and worker.running


@pytest.mark.parametrize("body", [b"no JSON", b"", b"[]", b'{"id":"7"}', b'{"entity_type":"Order","operation":"INSERT"', b"\xff\xfe{}"])
def test_what_is_no_event_is_a_dead_letter(place, body):
    worker = place.started(_hooks(place, hook={"entity": "*"}))
    sequence = place.stream.publish_raw("Order.INSERT", body, "odd")
    (letter,) = place.wait_dead(1)
    place.wait_idle()
    assert (letter["reason"], letter["sequence"], letter["event_id"]) == ("unreadable", sequence, "odd"), letter
    # As it is where it is an object, else encoded.
    if body == b'{"id":"7"}':
        assert letter["event"] == {"id": "7"} and "payload_base64" not in letter
    else:
        assert base64.b64decode(letter["payload_base64"]) == body and "event" not in letter
    assert letter["_subject"] == f"{place.name}_dead._unreadable"
    place.order()
    place.wait_arrivals(1)
    assert worker.running


# In which order


def test_observers_run_by_priority_and_then_by_name_and_actions_in_order(place):
    url = place.receiver.url
    place.started({"zebra": observer(webhook(url("/zebra-1")), webhook(url("/zebra-2")), priority=1), "beta": observer(webhook(url("/beta"))),
                   "alpha": observer(webhook(url("/alpha"))), "last": observer(webhook(url("/last")), priority=500)})
    place.order()
    place.wait_arrivals(5, None)
    assert _paths(place) == ["/zebra-1", "/zebra-2", "/alpha", "/beta", "/last"]


def test_an_action_that_fails_keeps_the_next_ones_of_its_observer_and_no_other_observer(place):
    place.receiver.plan(Plan(paths={"/a-2": ["400"]}))
    url = place.receiver.url
    place.started({"a": observer(webhook(url("/a-1")), webhook(url("/a-2")), webhook(url("/a-3"))), "b": observer(webhook(url("/b")))})
    place.order()
    (letter,) = place.wait_dead(1)
    place.wait_idle()
    assert _paths(place) == ["/a-1", "/a-2", "/b"]
    assert (letter["observer"], letter["action"]) == ("a", {"index": 1, "type": "webhook"})


def test_an_action_that_is_retried_does_not_repeat_those_before_it(place):
    place.receiver.plan(Plan(paths={"/a-2": ["500", "500", "ok"]}, honours_keys=False))
    url = place.receiver.url
    place.started({"a": observer(webhook(url("/a-1")), webhook(url("/a-2")))})
    place.order()
    place.wait_idle()
    assert _paths(place) == ["/a-1", "/a-2", "/a-2", "/a-2"]


def test_two_observers_that_fail_are_two_dead_letters(place):
    place.receiver.answers("400", path="/a")
    place.receiver.answers("400", path="/b")
    place.started(_hooks(place, a={}, b={}))
    order = place.order()
    letters = place.wait_dead(2)
    assert {letter["observer"] for letter in letters} == {"a", "b"} and {letter["event_id"] for letter in letters} == {order.id}


# What fails


@pytest.mark.parametrize("way", ["dlq", "alert", "log"])
def test_what_becomes_of_a_failure(place, way):
    place.receiver.answers("400")
    worker = place.started(_hooks(place, hook={"on_failure": way}))
    order = place.order()
    wait_until(lambda: worker.metric("fraiseql_observer_events_failed_total") == 1, 30, "it has failed")
    place.wait_idle()
    assert len(place.stream.dead()) == (0 if way == "log" else 1)
    told = [entry["level"] for entry in worker.log_entries() if order.id in json.dumps(entry) and entry["level"] in ("warning", "error")]
    if way != "dlq":
        assert told == ["error" if way == "alert" else told[0]] and told, worker.last_words()
    assert worker.metric("slotstream_observer_alerts_total") == (way == "alert")


@pytest.mark.parametrize(("strategy", "delays"), [("fixed", (200, 200, 200)), ("linear", (200, 400, 600)), ("exponential", (150, 300, 600))])
def test_a_retry_strategy_waits_as_it_says(place, strategy, delays):
    """At least as long: a machine may take longer."""
    place.receiver.answers("500", path="/hook")
    place.started(_hooks(place, hook={"retry": {"max_attempts": 4, "initial_delay_ms": 200, "max_delay_ms": 10_000, "backoff_strategy": strategy}}))
    place.order()
    place.wait_dead(1)
    times = [arrival.at for arrival in place.arrivals()]
    assert len(times) == 4
    for delay, began, ended in zip(delays, times, times[1:]):
        assert ended - began >= delay * 10**6, delay


# The other actions


def test_slack_gets_a_message(place):
    place.started({"chat": observer({"type": "slack", "webhook_url": place.receiver.url("/slack"), "channel": "#orders",
                                     "message_template": "Order {{ id }}: {{ note }}"}),
                   "plain": observer({"type": "slack", "webhook_url_env": "THE_SLACK"})}, environment={"THE_SLACK": place.receiver.url("/plain")})
    order = place.order(more={"note": "<!channel> & more"})
    (chat,) = place.wait_arrivals(1, "/slack")
    assert chat.json == {"text": f"Order {order.entity_id}: &lt;!channel&gt; &amp; more", "type": "mrkdwn", "channel": "#orders"}
    (plain,) = place.wait_arrivals(1, "/plain")
    assert plain.json == {"text": f"Event: INSERT on Order (ID: {order.entity_id})", "type": "mrkdwn"}
    assert chat.headers["content-type"] == "application/json"


def test_slacks_refusal_is_a_dead_letter(place):
    place.receiver.answers("404", path="/slack")
    place.started({"chat": observer({"type": "slack", "webhook_url": place.receiver.url("/slack"), "message_template": "x"})})
    place.order()
    (letter,) = place.wait_dead(1)
    assert letter["reason"] == "permanent" and letter["action"]["type"] == "slack"
    assert place.receiver.url("/slack") not in json.dumps(letter), "the address is a key"


def test_log_writes_a_line(place):
    worker = place.started({"line": observer({"type": "log", "message_template": "order {{ id }} says {{ note }}"}),
                            "loud": observer({"type": "log", "level": "error", "message_template": "loud {{ id }}"})})
    order = place.order(more={"note": 'a\n{"level":"critical","message":"forged"}\nb'})
    place.wait_idle()
    entries = worker.log_entries()
    (line,) = [entry for entry in entries if f"order {order.entity_id} says" in json.dumps(entry)]
    assert line["level"] == "info"
    assert [entry["level"] for entry in entries if f"loud {order.entity_id}" in json.dumps(entry)] == ["error"]
    assert not [entry for entry in entries if entry["level"] == "critical"], "nothing of a row is a line of its own"


def test_nats_publishes_where_the_event_says(place):
    place.administrator.add(f"{place.name}_copies", subjects=[f"copies.{place.name}.>"])
    place.started({"copy": observer({"type": "nats", "subject": f"copies.{place.name}.{{{{ event.entity_type }}}}.{{{{ status }}}}"})})
    order = place.order(more={"status": "very paid.*.>"})
    place.wait_idle()
    (copy,) = place.administrator.messages(f"{place.name}_copies")
    assert copy.subject == f"copies.{place.name}.Order.very%20paid%2E%2A%2E%3E"
    # Several actions of an event may publish to one stream: each has an id of its own.
    assert copy.id == f"{order.id}.{CONSUMER}.copy.0" and copy.json == json.loads(order.body())


def test_several_actions_of_one_event_publish_to_one_stream(place):
    place.administrator.add(f"{place.name}_copies", subjects=[f"copies.{place.name}.>"])
    place.started({name: observer({"type": "nats", "subject": f"copies.{place.name}.{name}"}, {"type": "nats", "subject": f"copies.{place.name}.{name}"})
                   for name in ("one", "two")})
    orders = place.publish(3)
    place.wait_idle()
    copies = place.administrator.messages(f"{place.name}_copies")
    assert len(copies) == 12 and len({copy.id for copy in copies}) == 12
    assert all(sum(copy.id.startswith(f"{order.id}.") for copy in copies) == 4 for order in orders)


def test_nats_never_publishes_into_the_live_stream(place):
    worker = place.worker({"copy": observer({"type": "nats", "subject": f"{place.stream.prefix}.Order.COPY"})})
    done = worker.command("check", expect=None)
    worker.start(wait=False)
    assert worker.wait(60) == 78 and done.returncode == 78, worker.last_words()
    assert place.stream.prefix in worker.last_words()


def test_nats_that_nobody_stores_is_tried_again(place):
    place.started({"copy": observer({"type": "nats", "subject": f"nobody.{place.name}"}, retry=QUICK_RETRY | {"max_attempts": 2})})
    order = place.order()
    (letter,) = place.wait_dead(1, 90)
    assert letter["event_id"] == order.id and letter["action"]["type"] == "nats"
    place.wait_idle()
