"""What is told of a worker while it works: `/livez`, `/readyz`, `/metrics`, `/status`; promtool and a real Prometheus have nothing against it."""

import json
import re
import subprocess

from places import place, place_maker, places  # noqa: F401
from servers.prometheus import prometheus
from servers.tools import installed, wait_until
from watched import value
from worker import observer, webhook

_SEEDS = ("fraiseql_observer_events_processed_total", "fraiseql_observer_events_failed_total", "fraiseql_observer_events_retried_total",
          "fraiseql_observer_processing_duration_seconds")


def _promtool(text: str) -> None:
    done = subprocess.run([installed("promtool"), "check", "metrics"], input=text, text=True, capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


def test_the_seeds_metrics_count_what_the_worker_does(place):
    place.receiver.answers("ok", path="/good")
    place.receiver.answers("500", "500", "ok", path="/flaky")
    place.receiver.answers("400", path="/bad")
    url = place.receiver.url
    worker = place.started({name: observer(webhook(url(f"/{name}"))) for name in ("good", "flaky", "bad")})
    # All series are there from the start.
    text = worker.get("/metrics")
    _promtool(text)
    for name in ("good", "flaky", "bad"):
        for kind in ("processed", "failed", "retried"):
            assert value(worker, f'fraiseql_observer_events_{kind}_total{{action="webhook",observer="{name}"}}') == 0, text
    place.publish(4)
    place.wait_idle()
    expected = {"good": (4, 0, 0), "flaky": (4, 0, 8), "bad": (0, 4, 0)}
    for name, counts in expected.items():
        told = [value(worker, f'fraiseql_observer_events_{kind}_total{{action="webhook",observer="{name}"}}')
                for kind in ("processed", "failed", "retried")]
        assert tuple(told) == counts, (name, told)
    count = value(worker, 'fraiseql_observer_processing_duration_seconds_count{action="webhook",observer="good"}')
    assert count == 4
    assert worker.metric("slotstream_observer_up") == 1
    for name in _SEEDS:
        assert re.search(rf"^# HELP {name} \S", worker.get("/metrics"), re.MULTILINE), name
    _promtool(worker.get("/metrics"))


def test_consumer_and_dead_letters_are_told_as_they_are(place):
    place.receiver.answers("hang")
    worker = place.started({"hook": observer(webhook(place.receiver.url()))}, {"observer_worker": {"max_concurrency": 5}})
    place.publish(12)
    place.wait_arrivals(5)

    def told() -> bool:
        info = place.stream.consumer()
        return (worker.metric("slotstream_observer_consumer_pending") == info["num_pending"] and
                worker.metric("slotstream_observer_consumer_ack_pending") == info["num_ack_pending"] > 0)

    wait_until(told, 60, "the consumer is told as it is")
    assert worker.metric("slotstream_observer_in_flight_events") >= 5
    worker.kill()
    place.receiver.answers("400")
    worker.start()
    place.publish(1)
    wait_until(lambda: place.stream.dead(), 60, "one is dead")
    wait_until(lambda: worker.metric("slotstream_observer_dead_letters") == len(place.stream.dead()), 60, "it is counted")


def test_who_it_is(place):
    worker = place.started()
    text = worker.get("/metrics")
    assert value(worker, f'slotstream_observer_info{{consumer="fraiseql_observer_worker",stream="{place.name}"}}') == 1, text
    roles = dict(re.findall(r'^slotstream_observer_role\{role="(\w+)"\} (\S+)$', text, re.MULTILINE))
    assert roles["active"] == "1" and set(roles) >= {"active", "standby"} and sum(map(float, roles.values())) == 1, roles
    assert re.search(r'^slotstream_observer_build_info\{.*version="', text, re.MULTILINE)
    status = worker.status()
    assert status["role"] == "active" and status["live"] is True and status["ready"] is True and status["schema"].endswith("/1"), status
    # Nothing of the streamer's is counted by the worker: both are told apart where both are scraped.
    assert not re.search(r"^slotstream_(source|slot|confirmed|events_total)", text, re.MULTILINE)


def test_live_and_ready(place):
    worker = place.started()
    assert worker.get("/livez") and json.loads(worker.get("/readyz"))["role"] == "active"
    assert worker.get("/status") and worker.get("/metrics")


def test_promtool_finds_nothing_in_any_state(place):
    active, standby = place.started(), place.started()
    place.receiver.answers("503")
    place.publish(20)
    wait_until(lambda: sum(worker.metric("fraiseql_observer_events_retried_total") for worker in (active, standby)) > 0, 30, "it tries")
    for worker in (active, standby):
        _promtool(worker.get("/metrics"))
    place.nats.kill()
    wait_until(lambda: active.metric("slotstream_observer_up") == 0, 60, "it has lost NATS")
    for worker in (active, standby):
        _promtool(worker.get("/metrics"))


def test_a_name_of_an_observer_is_any_text(place):
    name = 'ein "Name" \\ {with} braces,\u00e4'
    worker = place.worker({})
    worker.config.write_text(worker.config.read_text() + f"""
[observers.{json.dumps(name, ensure_ascii=False)}]
entity = "Order"
event_type = "INSERT"
actions = [{{type = "webhook", url = "{place.receiver.url()}"}}]
""")
    worker.start()
    place.order()
    place.wait_idle()
    _promtool(worker.get("/metrics"))
    assert re.search(r"^fraiseql_observer_events_processed_total\{.*\} 1$", worker.get("/metrics"), re.MULTILINE)


def test_a_real_prometheus_reads_it(place):
    place.receiver.answers("500", "ok")
    active, standby = place.started(), place.started()
    place.publish(5)
    place.wait_idle()
    with prometheus(place.folder / f"{place.name}-prometheus", [active.http, standby.http]) as server:
        server.wait_scraped(2)
        assert [target["lastError"] for target in server.targets()] == ["", ""]
        roles = [labels["role"] for labels, _ in server.wait_for("slotstream_observer_role == 1")]
        assert sorted(roles) == ["active", "standby"]
        (_, processed), = server.query("sum (fraiseql_observer_events_processed_total)")
        (_, retried), = server.query("sum (fraiseql_observer_events_retried_total)")
        assert (processed, retried) == (5, 5)
        quantile = "histogram_quantile(0.99, sum by (le) (fraiseql_observer_processing_duration_seconds_bucket))"
        (_, seconds), = server.query(quantile)
        assert 0 < seconds < 3600
