"""`slotstream-observer dead list|show|retry|drop`: in a terminal, on a pipe, with --json, with wrong arguments."""

import json
import re
import subprocess

import pytest

from answers import Plan
from places import place, place_maker, places  # noqa: F401
from servers.tools import wait_until
from terminal import COLUMNS, Terminal, in_terminal
from worker import observer, webhook


@pytest.fixture
def three(place):
    """Three events have died of a receiver that says 400, and their worker has ended. The receiver is well now."""
    place.receiver.answers("400")
    worker = place.started({"hook": observer(webhook(place.receiver.url()))})
    place.orders = []
    for count in (1, 2, 3):
        # One after another: their numbers are in their order.
        place.orders.append(place.order())
        place.wait_dead(count)
    place.wait_idle()
    assert worker.terminate() == 0
    place.receiver.answers("ok")
    return place


def _worker(place):
    return place.workers[-1]


def _json(place, *arguments: str, expect: int = 0) -> dict:
    (line,) = _worker(place).command(*arguments, "--json", expect=expect).stdout.splitlines()
    said = json.loads(line)
    assert said["schema"].startswith("slotstream.") and said["schema"].endswith("/1")
    return said


def _ids(place) -> list[int]:
    return [letter["_sequence"] for letter in place.stream.dead()]


def _listed(place) -> list[dict]:
    return _json(place, "dead", "list")["letters"]


# list and show


def test_list_has_each_with_its_id_its_event_and_its_reason(three):
    listed = _listed(three)
    assert [letter["number"] for letter in listed] == _ids(three) == [1, 2, 3]
    assert [letter["event_id"] for letter in listed] == [order.id for order in three.orders]
    assert {(letter["reason"], letter["observer"]) for letter in listed} == {("permanent", "hook")}
    done = _worker(three).command("dead", "list")
    for letter in listed:
        assert re.search(rf"^{letter['number']} .*Order\.INSERT.*permanent", done.stdout, re.MULTILINE), done.stdout


def test_list_fits_a_terminal(three):
    code, terminal = in_terminal(_worker(three), "dead", "list")
    assert code == 0 and max(map(len, terminal.lines)) <= COLUMNS, terminal.text
    assert any("permanent" in line or "400" in line for line in terminal.lines)
    assert "dead show" in terminal.text or "dead retry" in terminal.text, "the next command"


def test_an_empty_list_says_so(place):
    worker = place.worker()
    worker.command("setup")
    done = worker.command("dead", "list")
    assert "no dead letter" in (done.stdout + done.stderr).lower()
    assert _json(place, "dead", "list")["letters"] == []


def test_show_has_all_of_it(three):
    (letter, *_) = three.stream.dead()
    shown = _json(three, "dead", "show", "1")
    for key in ("event_id", "reason", "error", "attempts", "deliveries", "observer", "action", "event", "subject", "sequence", "first_at", "last_at"):
        assert shown[key] == letter[key], key
    done = _worker(three).command("dead", "show", "1")
    assert letter["event_id"] in done.stdout and "400" in done.stdout and three.orders[0].entity_id in done.stdout
    assert "dead retry 1" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["show", "retry", "drop"])
def test_an_id_that_is_not_there_is_told(three, command):
    extra = [] if command == "show" else ["--yes"]
    done = _worker(three).command("dead", command, "99", *extra, expect=None)
    assert done.returncode not in (0, 70) and "99" in done.stderr and "dead list" in done.stderr, done
    assert _ids(three) == [1, 2, 3]


@pytest.mark.parametrize("arguments", [["show"], ["retry"], ["drop"], ["show", "x"], ["retry", "x", "--yes"], ["retry", "1", "--all", "--yes"],
                                       ["drop", "-1", "--yes"], ["list", "more"], ["lst"], ["drop", "0", "--yes"]])
def test_wrong_arguments_are_told_with_what_is_right(three, arguments):
    done = _worker(three).command("dead", *arguments, expect=64)
    assert "slotstream-observer dead" in done.stderr or "--help" in done.stderr, done.stderr
    assert _ids(three) == [1, 2, 3] and len(three.arrivals()) == 3


# retry


def test_retry_does_what_was_not_done_and_removes_the_letter(three):
    worker = _worker(three)
    done = worker.command("dead", "retry", "2", "--yes")
    assert _ids(three) == [1, 3] and "2" in done.stdout + done.stderr
    last = three.arrivals()[-1]
    assert last.key == three.orders[1].id and last.attempt == 2 and last.told, "the same key"
    said = _json(three, "dead", "retry", "--all", "--yes")
    assert _ids(three) == [] and said
    assert {arrival.key for arrival in three.arrivals() if arrival.told} == {order.id for order in three.orders}


def test_several_ids_are_retried(three):
    _worker(three).command("dead", "retry", "1", "3", "--yes")
    assert _ids(three) == [2]


def test_retry_beside_a_worker_that_runs(three):
    worker = _worker(three)
    worker.start()
    worker.command("dead", "retry", "--all", "--yes")
    assert _ids(three) == []
    more = three.publish(2)
    three.wait_idle()
    keys = [arrival.key for arrival in three.arrivals() if arrival.told]
    assert sorted(keys) == sorted(order.id for order in three.orders + more)
    wait_until(lambda: worker.metric("slotstream_observer_dead_letters") == 0, 60, "the worker knows")


def test_what_fails_again_stays(three):
    three.receiver.answers("400", key=three.orders[1].id)
    done = _worker(three).command("dead", "retry", "--all", "--yes", expect=1)
    assert _ids(three) == [2] and "400" in done.stdout + done.stderr
    assert _json(three, "dead", "retry", "2", "--yes", expect=1)
    assert _ids(three) == [2]


def test_retry_goes_on_from_the_action_that_failed(place):
    place.receiver.plan(Plan(paths={"/2": ["400", "ok"]}, honours_keys=False))
    url = place.receiver.url
    worker = place.started({"hook": observer(webhook(url("/1")), webhook(url("/2")), webhook(url("/3"))), "other": observer(webhook(url("/other")))})
    place.order()
    place.wait_dead(1)
    place.wait_idle()
    worker.command("dead", "retry", "1", "--yes")
    assert [arrival.path for arrival in place.receiver.arrivals()] == ["/1", "/2", "/other", "/2", "/3"] and not place.stream.dead()


def test_retry_of_what_killed_its_workers_does_all_observers(pair, places):
    place = places(pair.nats, ack_wait=1, max_deliver=1)
    place.receiver.plan(Plan(paths={"/a": ["hang", "ok"]}, honours_keys=False))
    observers = {name: observer(webhook(place.receiver.url(f"/{name}"))) for name in ("a", "b")}
    worker = place.started(observers)
    order = place.order()
    place.wait_arrivals(1, "/a")
    worker.kill()
    worker.start()
    (letter,) = place.wait_dead(1)
    assert letter["reason"] == "max_deliver" and letter["event_id"] == order.id
    worker.command("dead", "retry", "1", "--yes")
    assert [arrival.path for arrival in place.receiver.arrivals()] == ["/a", "/a", "/b"] and not place.stream.dead()


def test_retry_of_an_observer_that_is_not_there_any_more(three):
    other = three.worker({"another": observer(webhook(three.receiver.url()))})
    done = other.command("dead", "retry", "1", "--yes", expect=None)
    assert done.returncode not in (0, 70) and "hook" in done.stderr + done.stdout and _ids(three) == [1, 2, 3]
    assert len(three.arrivals()) == 3


def test_an_unreadable_message_cannot_be_retried_and_can_be_dropped(place):
    worker = place.started()
    place.stream.publish_raw("Order.INSERT", b"no JSON", "odd")
    place.wait_dead(1)
    done = worker.command("dead", "retry", "1", "--yes", expect=None)
    assert done.returncode == 1 and "dead show 1" in done.stderr + done.stdout, done
    worker.command("dead", "drop", "1", "--yes")
    assert not place.stream.dead()


# drop, and being asked


def test_drop_removes_it_and_does_nothing(three):
    _worker(three).command("dead", "drop", "1", "3", "--yes")
    assert _ids(three) == [2] and len(three.arrivals()) == 3
    _worker(three).command("dead", "drop", "--all", "--yes")
    assert _ids(three) == []


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize(("answer", "left"), [("y\n", [1, 3]), ("yes\n", [1, 3]), ("n\n", [1, 2, 3]), ("\n", [1, 2, 3]), ("\x04", [1, 2, 3])])
def test_it_asks_in_a_terminal(three, command, answer, left):
    with Terminal(_worker(three), "dead", command, "2") as terminal:
        terminal.wait_for(r"\?|\[y")
        terminal.type(answer)
        code = terminal.end()
    assert _ids(three) == left, terminal.text
    assert (code == 0) == (left == [1, 3]), (code, terminal.text)


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_without_a_terminal_it_wants_to_be_told(three, command):
    worker = _worker(three)
    done = subprocess.run([str(worker.binary), "dead", command, "2", "--config", str(worker.config)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=worker.environment, cwd=worker.folder, timeout=60)
    assert done.returncode not in (0, 70) and "--yes" in done.stderr, done
    assert _ids(three) == [1, 2, 3] and len(three.arrivals()) == 3
