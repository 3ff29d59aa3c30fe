"""What `/metrics` tells beside the streamer's own work: who it is, the stream, its consumers, its process; and nothing that it does not know."""

import json
import math
import re
import time

from servers.tools import wait_until
from tenants import record_entries, stopped, tenant_maker, tenants  # noqa: F401
from watched import acknowledge, add_consumer, value

_WORKER = "fraiseql_observer_worker"
# Looks at the stream come this often instead of every 15 s, in milliseconds.
_LOOK = 200


def _consumer(name: str, metric: str) -> str:
    return f'slotstream_consumer_{metric}{{consumer="{name}"}}'


def there(streamer, name: str) -> bool:
    """Whether the series is exported at all."""
    return re.search(rf"^{re.escape(name)}(?:\{{| )", streamer.get("/metrics"), re.MULTILINE) is not None


def test_the_stream_and_its_consumers_are_told_as_they_are(pair, tenants):
    tenant = tenants(pair, overrides={"transport.nats.jetstream": {"max_msgs": 1000}})
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_stored(5)
    wait_until(lambda: value(streamer, _consumer(_WORKER, "pending")) == 5, 20, "nothing is delivered")
    assert value(streamer, _consumer(_WORKER, "ack_floor")) == 0
    assert value(streamer, _consumer(_WORKER, "retention_left_ratio")) > 0.9
    state = tenant.administrator.state(tenant.name)
    for name, told in (("bytes", state["bytes"]), ("messages", 5), ("first_sequence", 1), ("last_sequence", 5), ("max_messages", 1000),
                        ("max_bytes", 2**28), ("max_age_seconds", 7 * 86400), ("consumers", 1)):
        assert value(streamer, f"slotstream_stream_{name}") == told, name
    assert streamer.status()["consumers"] == [
        {"name": _WORKER, "pending": 5, "ack_pending": 0, "delivered": 0, "ack_floor": 0,
         "retention_left": value(streamer, _consumer(_WORKER, "retention_left_ratio"))}]

    acknowledge(tenant.nats, tenant.name, _WORKER, 3)
    acknowledge(tenant.nats, tenant.name, _WORKER, 1, are_acknowledged=False)
    wait_until(lambda: value(streamer, _consumer(_WORKER, "ack_pending")) == 1, 20, "one is delivered and not acknowledged")
    assert value(streamer, _consumer(_WORKER, "pending")) == 1 and value(streamer, _consumer(_WORKER, "ack_floor")) == 3

    add_consumer(tenant.nats, tenant.name, "other")
    wait_until(lambda: value(streamer, _consumer("other", "pending")) == 5, 20, "a consumer that comes is told")
    tenant.administrator.api(f"CONSUMER.DELETE.{tenant.name}.other")
    wait_until(lambda: value(streamer, _consumer("other", "pending")) is None, 20, "one that is gone is not")


def test_who_it_is_and_how_it_stands(pair, tenants):
    tenant = tenants(pair)
    holder, standby = tenant.streamer, tenant.another()
    began = time.time()
    for streamer in (holder, standby):
        streamer.keep_other_times(watch=_LOOK)
        streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    system = tenant.value("SELECT system_identifier FROM pg_control_system()")
    wait_until(lambda: value(holder, f'slotstream_info{{database="{tenant.name}",slot="{tenant.name}",stream="{tenant.name}",'
                                      f'system_id="{system}"}}') == 1, 20, "it says what it streams")
    assert value(standby, f'slotstream_info{{slot="{tenant.name}",stream="{tenant.name}"}}') == 1
    for streamer, role, nats in ((holder, "active", 1), (standby, "standby", 0)):
        for each in ("active", "standby", "stopped"):
            assert value(streamer, f'slotstream_role{{role="{each}"}}') == (each == role)
        wait_until(lambda: value(streamer, 'slotstream_connected{peer="postgres"}') == 1, 20, "it is connected to PostgreSQL")
        wait_until(lambda: value(streamer, 'slotstream_connected{peer="nats"}') == nats, 20, "NATS is the holder's")
    assert 0 <= value(holder, "slotstream_checkpoint_age_seconds") < time.time() - began + 1
    wait_until(lambda: there(holder, "slotstream_stream_messages"), 20, "the holder looks at the stream")
    assert not there(standby, "slotstream_stream_messages") and not there(standby, "slotstream_checkpoint_age_seconds"), "unknown is absent"
    # As the kernel tells it of the process.
    assert abs(value(holder, "process_start_time_seconds") - began) < 60
    resident = int(holder._proc("VmRSS")) * 1024
    assert 0.5 < value(holder, "process_resident_memory_bytes") / resident < 2
    before = holder.cpu_seconds()
    assert before - 0.05 <= value(holder, "process_cpu_seconds_total") <= holder.cpu_seconds() + 0.05


def test_events_in_quarantine_are_counted_where_they_are(newest_pair, tenants):
    tenant = tenants(newest_pair, overrides={"events": {"on_poison": "quarantine", "message_prefixes": ["fraiseql_events"]}})
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    streamer.start()
    wait_until(lambda: value(streamer, 'slotstream_stream_markers{kind="poison"}') == 0, 20, "none is there")
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    tenant.wait_stored(1)
    wait_until(lambda: value(streamer, 'slotstream_stream_markers{kind="poison"}') == 1, 20, "one is there")
    assert value(streamer, 'slotstream_stream_markers{kind="skip"}') == 0
    assert value(streamer, 'slotstream_poison_events_total{outcome="quarantine"}') == 1
    # Another process has counted none, and finds it all the same.
    assert streamer.terminate() == 0
    streamer.start()
    wait_until(lambda: value(streamer, 'slotstream_stream_markers{kind="poison"}') == 1, 20, "the stream keeps it")


def test_a_consumer_is_told_of_before_it_loses_events_and_once(pair, tenants):
    tenant = tenants(pair, overrides={"transport.nats.jetstream": {"max_msgs": 100}})
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    add_consumer(tenant.nats, tenant.name, "reads-part", filter_subject=f"{tenant.prefix}.Other.>")
    streamer.start()
    tenant.commit_each(1, 80)
    tenant.wait_stored(80)
    wait_until(lambda: value(streamer, _consumer(_WORKER, "pending")) == 80, 20, "it has looked")
    assert abs(value(streamer, _consumer(_WORKER, "retention_left_ratio")) - 0.2) < 0.011
    assert not _warnings(streamer)
    tenant.commit_each(81, 95)
    wait_until(lambda: _warnings(streamer), 20, "it warns")
    assert abs(value(streamer, _consumer(_WORKER, "retention_left_ratio")) - 0.05) < 0.011
    tenant.commit_each(96, 120)
    wait_until(lambda: value(streamer, _consumer(_WORKER, "retention_left_ratio")) == 0, 20, "nothing is left")
    warnings = _warnings(streamer)
    assert [(entry["level"], entry["consumer"], entry["finding"]) for entry in warnings] == [("warning", _WORKER, "W025")], warnings
    assert f"nats stream edit {tenant.name}" in warnings[0]["remedy"]
    # Whose filter matches nothing of it loses nothing.
    assert value(streamer, _consumer("reads-part", "retention_left_ratio")) == 1

    acknowledge(tenant.nats, tenant.name, _WORKER, 100)
    wait_until(lambda: value(streamer, _consumer(_WORKER, "retention_left_ratio")) == 1, 20, "it has read all")
    told = "the stream is not about to remove what the consumer has not read any more"
    wait_until(lambda: record_entries(streamer, told), 20, "that is told too")
    assert len(_warnings(streamer)) == 1


def _warnings(streamer) -> list[dict]:
    return [entry for entry in streamer.log_entries() if entry.get("finding") == "W025"]


def test_a_consumer_of_rare_events_is_judged_by_them(pair, tenants):
    """Its floor lies far behind what the stream still has, and the one event that it has not read is new."""
    tenant = tenants(pair, overrides={"transport.nats.jetstream": {"max_msgs": 50}})
    tenant.run("CREATE TABLE tb_rare (n BIGINT PRIMARY KEY)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_rare")
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    add_consumer(tenant.nats, tenant.name, "rare", filter_subject=f"{tenant.prefix}.Rare.>")
    streamer.start()
    tenant.run("INSERT INTO tb_rare VALUES (1)")
    tenant.wait_stored(1)
    acknowledge(tenant.nats, tenant.name, "rare", 1)
    tenant.commit_each(1, 100)
    tenant.run("INSERT INTO tb_rare VALUES (2)")
    tenant.wait_stored(102)
    wait_until(lambda: value(streamer, _consumer("rare", "pending")) == 1, 20, "one is there for it")
    assert value(streamer, _consumer("rare", "retention_left_ratio")) > 0.9
    tenant.commit_each(101, 147)
    wait_until(lambda: value(streamer, _consumer("rare", "retention_left_ratio")) < 0.1, 20, "that one is about to go")
    wait_until(lambda: "rare" in [entry["consumer"] for entry in _warnings(streamer)], 20, "it warns")


def test_a_server_that_does_not_answer_makes_the_stream_unknown_and_holds_up_nothing(one_pair, tenants):
    tenant = tenants(one_pair)
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    wait_until(lambda: value(streamer, "slotstream_stream_messages") == 1, 20, "it has looked")
    tenant.nats.pause()
    wait_until(lambda: not there(streamer, "slotstream_stream_messages"), 60, "it is not known any more")
    assert streamer.get("/livez") and "messages" not in streamer.status()["stream"] and "consumers" not in streamer.status()
    assert not there(streamer, "slotstream_consumer_pending")
    tenant.nats.resume()
    tenant.commit(2)
    tenant.wait_stored(2, 60)
    wait_until(lambda: value(streamer, "slotstream_stream_messages") == 2, 60, "it looks again")
    tenant.require_exact(1, 2)


_SECRET = "s3cret-Pa55word"
_USERS = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    f'  {{ user: narrow, password: "{_SECRET}", permissions: {{ publish: {{ deny: ["$JS.API.CONSUMER.LIST.>"] }} }} }}',
    "] }",
    "no_auth_user: admin",
)


def test_without_the_right_to_list_consumers_it_streams_on_and_asks_once(pair, tenants):
    tenant = tenants(pair, nats_lines=_USERS)
    file = tenant.servers.folder / f"{tenant.name}-password"
    file.write_text(_SECRET)
    streamer = tenant.another({"transport.nats": {"user": "narrow", "password_file": str(file)}})
    streamer.keep_other_times(watch=_LOOK)
    streamer.start()
    for number in range(1, 4):
        tenant.commit(number)
        wait_until(lambda: value(streamer, "slotstream_stream_messages") == number, 20, "it looks at the stream")
    assert not there(streamer, "slotstream_consumer_pending") and not there(streamer, "slotstream_stream_consumers")
    denials = [entry for entry in streamer.log_entries() if "CONSUMER.LIST" in str(entry)]
    assert len(denials) == 1, denials
    tenant.wait_confirmed()
    tenant.require_exact(1, 2, 3)


def test_it_looks_four_times_a_minute(one_pair, tenants):
    """The promised time, as it is."""
    tenant = tenants(one_pair)
    streamer = tenant.streamer
    streamer.start()
    tenant.commit(1)
    wait_until(lambda: value(streamer, "slotstream_stream_messages") == 1, 40, "the next look has seen it")
    assert not math.isnan(value(streamer, "slotstream_stream_bytes"))


def test_a_line_in_the_log_says_how_it_goes(pair, tenants):
    tenant = tenants(pair)
    streamer = tenant.streamer
    streamer.keep_other_times(progress=1000)
    streamer.start()
    tenant.commit_each(1, 20)
    tenant.wait_stored(20)

    def lines() -> list[dict]:
        return [entry for entry in record_entries(streamer, "still streaming") if "stored_p99" in entry]

    wait_until(lines, 20, "a line tells of them")
    line = lines()[0]
    assert line["level"] == "info"
    for field, shape in (("events", r"[0-9.]+/s"), ("lag", r"[0-9.]+s"), ("wal_held", r"[0-9.]+[KMG]?i?B"), ("stored_p99", r"[0-9.]+m?s")):
        assert re.fullmatch(shape, line[field]), line
    assert 1 <= line["stream_seq"] <= 20
    wait_until(lambda: record_entries(streamer, "still streaming")[-1].get("stored_p99") is None, 20, "no event, no time")


def test_the_last_stop_is_told_by_the_streamer_after_it(pair, tenants):
    tenant = tenants(pair, overrides={"events": {"on_poison": "stop"}})
    streamer = tenant.streamer
    streamer.keep_other_times(watch=_LOOK)
    streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    wait_until(lambda: there(streamer, "slotstream_stream_messages"), 20, "it has looked")
    assert not there(streamer, "slotstream_last_stop_timestamp_seconds"), "none has stopped"
    began = time.time()
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    stopped(streamer, 65, "poison_event")
    after = tenant.another({"events": {"on_poison": "quarantine"}})
    after.keep_other_times(watch=_LOOK)
    after.start()
    series = 'slotstream_last_stop_timestamp_seconds{reason="poison_event"}'
    wait_until(lambda: value(after, series), 20, "it tells of the stop")
    assert began - 5 < value(after, series) < time.time() + 5
    assert json.loads(after.get("/recent"))["last_stop"]["reason"] == "poison_event"
