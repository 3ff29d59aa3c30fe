"""How a worker ends, and what it does about a JetStream that is away or not as it was: nothing is lost, and what it does is told."""

import json
import time
import urllib.error

import pytest

from deliveries import Judge
from orders import OrderStream
from places import CONSUMER, Place, place, place_maker, places  # noqa: F401
from servers.nats import NatsServer
from servers.tools import free_port, wait_until
from tenants import record_entries, stopped
from watched import add_consumer
from worker import SECRET, Worker, observer, webhook

# Longer than any test: what is done before it was not waited for.
_FOREVER = 600


def _not_ready(worker: Worker) -> str | None:
    """What /readyz says while it is not; None: it is, or does not answer yet."""
    try:
        worker.get("/readyz")
        return None
    except urllib.error.HTTPError as refusal:
        return refusal.read().decode()
    except OSError:
        return None


def _require_all_done(place: Place, orders: list) -> None:
    Judge(place.receiver.current, SECRET).judge(orders, place.arrivals(), place.stream.dead()).require_right()


# SIGTERM


def test_sigterm_lets_what_is_under_way_end_and_takes_no_more(pair, places):
    place = places(pair.nats, ack_wait=_FOREVER)
    place.receiver.answers("drip")
    worker = place.started(overrides={"observer_worker": {"max_concurrency": 4}})
    orders = place.publish(60)
    place.wait_arrivals(9)
    assert worker.terminate() == 0
    arrivals = place.arrivals()
    info = place.stream.consumer()
    # What was taken and not begun went back; what was begun was done and acknowledged: nothing is under way, and nothing comes twice.
    assert len(arrivals) < 60 and info["num_pending"] + info["num_redelivered"] + info["num_ack_pending"] > 0, info
    place.receiver.answers("ok")
    place.started()
    place.wait_idle()
    _require_all_done(place, orders)
    assert len(place.arrivals()) == 60, "each came once"


def test_sigterm_gives_back_what_takes_too_long(pair, places):
    place = places(pair.nats, ack_wait=_FOREVER)
    place.receiver.answers("hang", "ok")
    worker = place.started(overrides={"observer_worker": {"shutdown_timeout": "2s"}})
    orders = place.publish(10)
    place.wait_arrivals(10)
    began = time.monotonic()
    assert worker.terminate(seconds=60) == 0
    assert time.monotonic() - began > 1, "what was under way was waited for"
    # Given back: whoever comes next does it, long before ack_wait is over.
    place.started()
    place.wait_idle()
    _require_all_done(place, orders)


def test_sigterm_while_retries_are_waited_for(place):
    place.receiver.answers("500")
    retry = {"max_attempts": 5, "initial_delay_ms": 60_000, "max_delay_ms": 60_000, "backoff_strategy": "fixed"}
    observers = {name: values | {"retry": retry} for name, values in place.worker().observers.items()}
    worker = place.started(observers)
    (order,) = place.publish(1)
    place.wait_arrivals(1)
    assert worker.terminate(seconds=30) == 0
    assert not place.stream.dead(), "it is not dead"
    place.receiver.answers("ok")
    place.started()
    place.wait_idle()
    _require_all_done(place, [order])


def test_ctrl_c_ends_it_as_sigterm_does(place):
    worker = place.started()
    orders = place.publish(3)
    place.wait_idle()
    worker.process.send_signal(2)
    assert worker.wait(30) == 0
    _require_all_done(place, orders)


def test_sigterm_before_it_is_ready(pair, folder):
    worker = Worker(folder / "worker", OrderStream(f"nats://127.0.0.1:{free_port()}"), {"hook": observer(webhook("http://127.0.0.1:9/"))})
    try:
        worker.start(wait=False)
        wait_until(lambda: _not_ready(worker), 30, "it is there, and not ready")
        assert worker.get("/livez"), "it waits, and is live"
        assert worker.terminate(seconds=30) == 0
    finally:
        worker.close()


# JetStream


def test_it_waits_for_a_nats_server_that_comes_later(place):
    orders = place.publish(5)
    place.nats.kill()
    worker = place.worker()
    worker.start(wait=False)
    said = wait_until(lambda: _not_ready(worker), 30, "it is not ready")
    assert "nats" in said.lower(), said
    place.nats.start()
    worker.wait_ready(60)
    place.wait_idle()
    _require_all_done(place, orders)


@pytest.mark.parametrize("way", ["killed", "frozen"])
def test_it_goes_on_when_nats_server_was_away(pair, places, way):
    place = places(pair.nats, ack_wait=2, max_deliver=20)
    worker = place.started()
    orders = place.publish(5)
    place.wait_idle()
    if way == "killed":
        place.nats.kill()
    else:
        place.nats.pause()
    wait_until(lambda: _not_ready(worker), 60, "it sees that it is alone")
    assert worker.get("/livez") and worker.running
    if way == "killed":
        place.nats.start()
    else:
        place.nats.resume()
    orders += place.publish(5)
    place.wait_idle()
    worker.wait_ready()
    _require_all_done(place, orders)


def test_a_stream_that_is_not_there_yet_is_waited_for(pair, places):
    place = places(pair.nats, create=False)
    worker = place.worker()
    worker.start(wait=False)
    wait_until(lambda: _not_ready(worker) and "slotstream setup" in worker.last_words(), 30, "it says what it waits for")
    assert place.name in worker.last_words() and worker.get("/livez")
    place.stream.create()
    worker.wait_ready(60)
    orders = place.publish(2)
    place.wait_idle()
    _require_all_done(place, orders)


def _went(worker: Worker, code: int, *reasons: str) -> dict:
    """What a worker said that had to stop with this code and one of these reasons."""
    ended = worker.wait(60)
    said = record_entries(worker, "stopped")
    assert said and ended == code and said[-1]["reason"] in reasons, (ended, worker.last_words())
    assert said[-1]["remedy"], said
    return said[-1]


def test_a_consumer_that_somebody_deletes(place):
    """Where it had got to is lost with it: it says so and ends, rather than do everything again."""
    worker = place.started()
    orders = place.publish(5)
    place.wait_idle()
    place.administrator.api(f"CONSUMER.DELETE.{place.name}.{CONSUMER}")
    place.publish(1)
    said = _went(worker, 73, "consumer_missing")
    assert CONSUMER in said["error"] and "slotstream-observer setup --from" in said["remedy"], said
    assert sorted(arrival.key for arrival in place.arrivals()) == sorted(order.id for order in orders)
    # Nobody but its operator says where it begins again.
    worker.command("setup", expect=73)
    worker.command("setup", "--from", "6")
    worker.start()
    place.wait_idle()
    assert len(place.arrivals()) == 6


def test_a_stream_that_somebody_deletes(place):
    worker = place.started()
    place.publish(5)
    place.wait_idle()
    place.administrator.delete(place.name)
    said = _went(worker, 73, "stream_missing")
    assert place.name in said["error"], said


def test_a_stream_that_somebody_makes_anew(place):
    worker = place.started()
    place.publish(5)
    place.wait_idle()
    worker.freeze()
    place.administrator.delete(place.name)
    place.stream.create()
    place.publish(3)
    worker.thaw()
    said = _went(worker, 73, "consumer_missing", "stream_missing", "stream_recreated")
    assert "slotstream-observer setup --from" in said["remedy"], said
    worker.command("setup", "--from", "first")
    worker.start()
    place.wait_idle()
    assert len(place.arrivals()) == 8


def test_a_stream_of_dead_letters_that_is_deleted_is_made_again(pair, places):
    place = places(pair.nats, ack_wait=2, max_deliver=20)
    place.receiver.answers("400")
    place.started()
    place.administrator.delete(f"{place.name}_dead")
    (order,) = place.publish(1)
    place.wait_arrivals(1)
    (letter,) = wait_until(place.stream.dead, 60, "it is stored, when the stream is there again")
    assert letter["event_id"] == order.id
    place.wait_idle()
    assert len(place.arrivals()) == 1, "the event is not done again"


def test_a_worker_whose_dead_letters_cannot_be_stored_acknowledges_nothing(pair, places):
    place = places(pair.nats, ack_wait=2, max_deliver=20)
    place.receiver.answers("400")
    worker = place.started()
    # Full: it discards what is new.
    config = place.administrator.config(f"{place.name}_dead")
    place.administrator.update(**config | {"max_msgs": 1})
    orders = place.publish(2)
    place.wait_arrivals(2)
    wait_until(lambda: "cannot be stored" in json.loads(_not_ready(worker) or "{}").get("reasons", [""])[0], 30, "it is not ready, and says why")
    assert not place.is_idle() and len(place.stream.dead()) == 1 and len(place.arrivals()) == 2, "it is not acknowledged, and not done again"
    place.administrator.update(**config)
    place.wait_idle()
    assert sorted(letter["event_id"] for letter in place.stream.dead()) == sorted(order.id for order in orders)
    worker.wait_ready(30)


# Credentials

_SECRET = "s3cret-Pa55word"
_USERS = ("authorization { users = [", "  { user: admin, password: admin }", f'  {{ user: worker, password: "{_SECRET}" }}', "] }")


def test_wrong_credentials_stop_it_and_are_not_shown(pair, folder):
    server = NatsServer(pair.nats, folder / "nats")
    with server.config.open("a") as config:
        config.write("\n".join(_USERS) + "\n")
    password = folder / "password"
    password.write_text(_SECRET + "x")
    server.launch()
    try:
        overrides = {"transport.nats": {"user": "worker", "password_file": str(password)}}
        worker = Worker(folder / "worker", OrderStream(f"nats://127.0.0.1:{server.port}"), {"hook": observer(webhook("http://127.0.0.1:9/"))},
                        overrides)
        try:
            worker.start(wait=False)
            stopped(worker, 78, "credentials", seconds=60)
            assert _SECRET not in worker.log.read_text()
            done = worker.command("setup", expect=78)
            assert _SECRET not in done.stdout + done.stderr and "[credentials]" in done.stderr
        finally:
            worker.close()
    finally:
        server.kill()


# The consumer's settings


def test_a_consumer_with_other_settings_is_told_and_left_alone(place):
    add_consumer(place.nats, place.name, CONSUMER, ack_wait=7 * 10**9, max_deliver=9, filter_subject=f"{place.stream.prefix}.>")
    before = place.stream.consumer()["config"]
    worker = place.started()
    orders = place.publish(2)
    place.wait_idle()
    _require_all_done(place, orders)
    said = worker.command("check", expect=None).stdout + "\n".join(
        json.dumps(entry) for entry in worker.log_entries() if entry["level"] in ("warning", "notice"))
    for name in ("ack_wait", "max_deliver"):
        assert name in said, said
    after = place.stream.consumer()["config"]
    assert (after["ack_wait"], after["max_deliver"]) == (before["ack_wait"], before["max_deliver"]), "nothing is altered silently"


@pytest.mark.parametrize("settings", [{"ack_policy": "none"}, {"deliver_subject": "elsewhere"}], ids=["no acks", "push"])
def test_a_consumer_that_cannot_be_used_is_refused(place, settings):
    place.administrator.api(f"CONSUMER.DURABLE.CREATE.{place.name}.{CONSUMER}", stream_name=place.name,
                            config={"durable_name": CONSUMER, "ack_policy": "explicit", "deliver_policy": "all"} | settings)
    worker = place.worker()
    worker.start(wait=False)
    said = _went(worker, 78, "configuration", "consumer_settings")
    assert CONSUMER in said["error"], said


def test_setup_makes_what_run_needs_and_may_be_repeated(place):
    worker = place.worker()
    worker.command("setup")
    names = place.administrator.names()
    assert {f"{place.name}_dead", f"{place.name}_advisories"} <= names
    config = place.stream.consumer()["config"]
    assert (config["ack_policy"], config["deliver_policy"], config["max_deliver"]) == ("explicit", "all", 3), config
    assert config["ack_wait"] == 30 * 10**9 and "deliver_subject" not in config
    advisories = place.administrator.config(f"{place.name}_advisories")
    assert advisories["subjects"] == [f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{place.name}.*"], advisories
    assert place.administrator.config(f"{place.name}_dead")["subjects"] == [f"{place.name}_dead.>"]
    before = {name: place.administrator.config(name) for name in names}
    worker.command("setup")
    assert {name: place.administrator.config(name) for name in place.administrator.names()} == before
