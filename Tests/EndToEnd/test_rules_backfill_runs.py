"""Runs of a backfill from the outside: asked for, watched, paused, given up; what their events and markers are."""

import hashlib
import hmac
import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

import failpoints
import stream
from backfilling import SOON, ask, finish, held, judged, let_go, markers, old_rows, prepared, resume, runs, tables_of, told_list
from compare import members
from oracles.backfilled import Backfilled, place
from oracles.shapes import shapes
from servers.tools import wait_until
from tenants import PATIENT, refused, tenant_maker, tenants  # noqa: F401


# Asking

def test_a_run_from_its_request_to_its_markers(pair, tenants):
    tenant, told = prepared(tenants, pair, 100, "CREATE TABLE tb_tag (label TEXT); ALTER TABLE tb_tag REPLICA IDENTITY FULL; INSERT INTO tb_tag VALUES ('a'), ('a')")
    told.streamer.start()
    tenant.commit(1001)
    tenant.wait_confirmed()
    said = ask(told.streamer, "--table", "public.tb_*", "--wait", "--json")
    assert json.loads(said.stdout)["schema"] == "slotstream.backfill/1" and json.loads(said.stdout)["runs"][0]["state"] == "done"
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert judge.read == 103 or judge.read == 102
    live, begin, *rest = tenant.read()
    assert begin.json["backfill"] == {"id": "1", "event": "begin", "tables": ["public.tb_item", "public.tb_tag"]}
    assert begin.id == f"{live.id}.b.1.1.0.0.0.0" and begin.subject == f"{tenant.prefix}._slotstream.BACKFILL"
    row = next(event for event in rest if event.subject == f"{tenant.prefix}.Item.READ")
    body = row.json
    assert list(members(row.body)) == ["id", "entity_type", "operation", "entity_id", "timestamp", "entity", "backfill", "source"]
    assert body["entity"]["n"] == 1 and body["backfill"]["id"] == "1" and re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", body["backfill"]["lsn"])
    assert place(row.id).oid == tenant.value("SELECT 'tb_item'::regclass::oid::int8") and (place(row.id).block, place(row.id).offset) == (0, 1)
    ends = [marker["backfill"] for marker in markers(tenant)]
    assert [(end["event"], end.get("table"), end.get("rows")) for end in ends] == [
        ("begin", None, None), ("table", "public.tb_item", judge.read - 2), ("whole", "public.tb_tag", None), ("table", "public.tb_tag", 2),
        ("end", None, judge.read)]


def test_a_request_that_is_put_before_the_streamer_is_up_is_carried_out_when_it_is(pair, tenants):
    tenant, told = prepared(tenants, pair, 300)
    run = told.request("public.tb_item")
    assert told.state(run) == ("waiting", "") and told_list(told.streamer)[0]["state"] == "waiting"
    told.streamer.start()
    assert finish(tenant, run).read == 300


def test_a_dry_run_asks_for_nothing(pair, tenants):
    tenant, told = prepared(tenants, pair, 400)
    tenant.run("ANALYZE tb_item")
    done = ask(told.streamer, "--table", "public.tb_item", "--dry-run", "--json", expect=1)
    plan = json.loads(done.stdout)["plan"]
    assert plan["rows"] == 400 and plan["tables"][0]["table"] == "public.tb_item" and plan["bytes"] > 400 * 150, plan
    assert told.requests() == []


def test_requests_that_are_made_at_once_are_all_carried_out_one_after_another(pair, tenants):
    tenant, told = prepared(tenants, pair, 200, "CREATE TABLE tb_a (n INT PRIMARY KEY); CREATE TABLE tb_b (n INT PRIMARY KEY); INSERT INTO tb_a VALUES (1); INSERT INTO tb_b VALUES (2)")
    told.streamer.start()
    with ThreadPoolExecutor(3) as clients:
        for done in [clients.submit(ask, told.streamer, "--table", f"public.{name}") for name in ("tb_item", "tb_a", "tb_b")]:
            done.result()
    assert sorted(request["run"] for request in told.requests()) == [1, 2, 3]
    for run in (1, 2, 3):
        told.wait_done(run)
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert [told.number for told in judge.runs] == [1, 2, 3] and judge.read == 202


def test_a_second_run_over_the_same_table_is_as_right_as_the_first(pair, tenants):
    tenant, told = prepared(tenants, pair, 300)
    told.streamer.start()
    finish(tenant, told.request("public.tb_item"))
    tenant.run("UPDATE tb_item SET note = 'between' WHERE n % 3 = 0; DELETE FROM tb_item WHERE n % 7 = 0")
    assert finish(tenant, told.request("public.tb_item")).read > 500


# Wishes

def test_a_run_is_paused_and_goes_on_where_it_was(pair, tenants):
    tenant, told = prepared(tenants, pair)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "200"])
    told.wait_read(30)
    ask(told.streamer, "--pause")
    told.wait_state(run, "paused")
    paused = told.read()
    tenant.run("UPDATE tb_item SET note = 'while it rests' WHERE n IN (1, 1400); DELETE FROM tb_item WHERE n IN (2, 1401); UPDATE tb_item SET n = 9000 WHERE n = 1402")
    tenant.wait_confirmed()
    assert told.read() == paused < 1_500
    told.streamer.kill()
    tenant.wait_free()
    told.streamer.start()
    tenant.commit(1601)
    tenant.wait_confirmed()
    assert (told.state(run)[0], told.read()) == ("paused", paused), "also over a restart"
    assert told_list(told.streamer)[-1]["state"] == "paused"
    resume(told, run)
    judge = finish(tenant, run)
    assert not judge.runs[0].restarts


def test_a_run_is_given_up_with_a_marker_and_the_next_begins(pair, tenants):
    tenant, told = prepared(tenants, pair)
    told.streamer.start()
    first = told.request("public.tb_item", options=["--rate", "200"])
    second = told.request("public.tb_item")
    third = told.request("public.tb_item")
    told.wait_read(30)
    ask(told.streamer, "--cancel", str(third))
    ask(told.streamer, "--cancel", str(first))
    told.wait_state(first, "cancelled")
    told.wait_done(second)
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert [(told.number, told.end) for told in judge.runs] == [(1, "cancelled"), (2, "end")]
    assert {told["run"]: told["state"] for told in told_list(told.streamer)}[first] == "cancelled"
    # It was never begun.
    assert told.state(third)[0] in ("cancelled", "waiting") and 3 not in [run.number for run in judge.runs]
    assert refused(told.streamer, 78, "configuration", "backfill", "--pause", "1")


def test_a_run_that_was_put_off_before_it_began_can_begin_after_many_others(newest_pair, tenants):
    """The record keeps the ends of 20."""
    tenant, told = prepared(tenants, newest_pair, 30)
    first = told.request("public.tb_item")
    ask(told.streamer, "--pause", str(first))
    told.streamer.start()
    for _ in range(21):
        run = told.request("public.tb_item")
        told.wait_done(run)
    ask(told.streamer, "--resume", str(first))
    told.wait_done(first)


def test_whoever_waits_is_told_how_it_ends(pair, tenants):
    tenant, told = prepared(tenants, pair, 600)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "100"])
    with ThreadPoolExecutor(1) as client:
        waiting = client.submit(ask, told.streamer, "--wait", str(run), expect=1)
        told.wait_read(20)
        ask(told.streamer, "--cancel", str(run))
        assert "cancelled" in waiting.result(timeout=60).stderr


def test_rows_come_no_faster_than_they_are_wanted(pair, tenants):
    tenant, told = prepared(tenants, pair, 400)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--rate", "100"])
    tenant.commit(1001)
    tenant.wait_confirmed()
    assert told.state(run)[0] != "done", "live events do not wait for it"
    finish(tenant, run)
    times = [event.json["timestamp"] for event in tenant.read() if event.subject.endswith(".READ")]
    seconds = [float(time[17:26]) + 60 * int(time[14:16]) for time in times]
    # The first second's rows may come at once.
    assert (seconds[-1] - seconds[0]) % 3600 > 2, times[-1]


# What it reads

def test_a_condition_chooses_rows_and_a_wrong_one_is_refused(pair, tenants):
    tenant, told = prepared(tenants, pair, 300)
    told.streamer.start()
    for wrong in ("n >", "nothing = 1", "n; DROP TABLE tb_item", "pg_sleep(1) IS NULL) OR (true", "sum(n) > 1"):
        assert ask(told.streamer, "--table", "public.tb_item", "--where", wrong, expect=78).stderr
    run = told.request("public.tb_item", options=["--where", "n % 10 = 0"])
    told.wait_done(run)
    tenant.wait_confirmed()
    read = [event.json["entity"]["n"] for event in tenant.read() if event.subject.endswith(".READ")]
    assert read == list(range(10, 301, 10)) and markers(tenant)[0]["backfill"]["condition"] == "n % 10 = 0"


def test_rows_as_inserts_for_consumers_that_know_nothing_else(pair, tenants):
    tenant, told = prepared(tenants, pair, 300)
    told.streamer.start()
    run = told.request("public.tb_item", options=["--operation", "INSERT"])
    told.wait_done(run)
    tenant.wait_confirmed()
    judge = judged(tenant, operation="INSERT")
    assert judge.read == 300 and told.read() == 0


def test_rows_into_a_stream_of_their_own_are_followed_by_the_live_one(pair, tenants):
    tenant, told = prepared(tenants, pair, 1_200)
    run = held(told, "chunk_read", 3, options=["--into-stream", f"{tenant.name}_old"])
    tenant.run("UPDATE tb_item SET note = 'live' WHERE n IN (5, 100, 1100); DELETE FROM tb_item WHERE n IN (6, 101, 1101); UPDATE tb_item SET n = 9000 WHERE n = 102")
    let_go(told)
    told.wait_done(run)
    tenant.run("UPDATE tb_item SET note = 'later' WHERE n IN (7, 103)")
    tenant.wait_confirmed()
    own_stream = f"{tenant.name}_old"
    apart, live = list(stream.read(tenant.nats.url, own_stream)), tenant.read()
    assert told.read() == 0 and not [event for event in live if event.id.count(".b.")], "nothing of it is in the live stream"
    begin = place(apart[0].id)
    with tenant.connect() as connection:
        found = shapes(connection, tenant.name)
        prefix = apart[0].subject.removesuffix("._slotstream.BACKFILL")
        judge = Backfilled(found, prefix).follow(apart, is_apart=True)
        assert not judge.differences, judge.differences[:10]
        judge.follow([event for event in live if place(event.id).order[:2] > (begin.commit_lsn, begin.ordinal)])
        judge.differences = [each for each in judge.differences if each.kind != "unchained"]
        judge.compare(tables_of(connection, found)).require_equal()
    assert judge.read >= 1_190


def test_a_first_start_reads_what_the_configuration_names_and_a_table_that_comes_later(pair, tenants):
    tenant = tenants(pair, setup=False, overrides=PATIENT | {"backfill": {"on_first_start": ["public.tb_*"]}})
    told = old_rows(tenant, 300, setup=False)
    told.streamer.start()
    wait_until(lambda: told.state(1)[0] == "done", SOON, f"it is read: {told.streamer.log}")
    assert told.requests()[0]["requested_by"] == "on_first_start"
    tenant.wait_confirmed()
    assert judged(tenant).read == 300
    # Once: not at every start.
    assert told.streamer.terminate() == 0
    tenant.wait_free()
    told.streamer.start()
    tenant.run("CREATE TABLE tb_later (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO tb_later SELECT n, 'later' FROM generate_series(1, 40) AS n")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_later")
    wait_until(lambda: told.state(2)[0] == "done", SOON, f"the later table is read: {told.streamer.log}")
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert judge.read == 340 and judge.runs[1].tables == ["public.tb_later"]


def test_no_table_of_many_is_read_twice_when_one_comes_later(newest_pair, tenants):
    """More than the end of a run names, and the request that named them is forgotten with the next one."""
    tenant = tenants(newest_pair, setup=False, overrides=PATIENT | {"backfill": {"on_first_start": ["public.tb_*"]}})
    told = old_rows(tenant, 10, setup=False)
    tenant.run("; ".join(f"CREATE TABLE tb_many_{n} (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO tb_many_{n} VALUES (1, 'one')" for n in range(120)))
    told.streamer.start()
    wait_until(lambda: told.state(1)[0] == "done", SOON, f"all are read: {told.streamer.log}")
    for run, name in ((2, "tb_later"), (3, "tb_latest")):
        tenant.run(f"CREATE TABLE {name} (n BIGINT PRIMARY KEY, note TEXT); INSERT INTO {name} VALUES (1, 'later')")
        tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE {name}")
        wait_until(lambda: told.state(run)[0] == "done", SOON, f"{name} is read: {told.streamer.log}")
    tenant.wait_confirmed()
    judge = judged(tenant)
    assert judge.read == 132 and [len(run.tables) for run in judge.runs] == [121, 1, 1]


def test_a_stream_that_is_there_is_not_read_into_when_the_configuration_comes_to_name_tables(pair, tenants):
    tenant, told = prepared(tenants, pair, 50)
    told.streamer.start()
    tenant.commit(1001)
    tenant.wait_confirmed()
    assert told.streamer.terminate() == 0
    tenant.wait_free()
    again = tenant.another({"backfill": {"on_first_start": ["public.tb_*"]}})
    again.start()
    tenant.commit(1002)
    tenant.wait_confirmed()
    assert told.requests() == [] and told.read() == 0


# Events

@pytest.mark.parametrize("form", ["fraiseql", "cloudevents"])
def test_rows_in_each_format_and_the_walk_goes_on_behind_a_kill(pair, tenants, form):
    """The bodies carry what the format has; what was stored is read from the ids."""
    tenant = tenants(pair, setup=False, overrides=PATIENT | {"events": {"format": form}, "source": {"tables": ["public.tb_thing"]}})
    tenant.run("CREATE TABLE tb_thing (id UUID PRIMARY KEY, n INT)")
    tenant.run("INSERT INTO tb_thing SELECT gen_random_uuid(), n FROM generate_series(1, 700) AS n")
    tenant.streamer.setup()
    told = runs(tenant)
    failpoints.start(told.streamer, "chunk_read", "kill", 3)
    told.streamer.wait_ready()
    run = told.request("public.tb_thing")
    failpoints.recover(told.streamer, "kill", SOON)
    told.wait_done(run)
    tenant.wait_confirmed()
    found = [event for event in tenant.read() if event.subject.endswith(".READ")]
    numbers = [event.json["data"]["entity"]["n"] if form == "cloudevents" else event.json["data"]["n"] for event in found]
    assert sorted(numbers) == list(range(1, 701))
    for event in found:
        body = event.json
        if form == "cloudevents":
            assert (body["id"], body["type"], body["data"]["operation"]) == (event.id, "Thing.READ", "READ") and body["data"]["backfill"]["id"] == "1"
        else:
            assert (body["event_type"], body["entity_type"], body["cdc_source"]) == ("CUSTOM", "Thing", "slotstream")


def test_hidden_and_masked_values_are_those_of_live_events(pair, tenants, tmp_path):
    """Also where the key is masked: what was stored and not told is looked up by the true one."""
    key = tmp_path / "key"
    key.write_text("a secret\n")
    tenant = tenants(pair, setup=False, overrides=PATIENT | {
        "events": {"mask_key_file": str(key)}, "events.columns.exclude": {"public.tb_user": ["hash"]},
        'events.columns.mask."public.tb_user"': {"id": "hmac", "phone": "text:***"}, "source": {"tables": ["public.tb_user"]}})
    tenant.run("CREATE TABLE tb_user (id TEXT PRIMARY KEY, phone TEXT, hash TEXT, note TEXT, big TEXT); ALTER TABLE tb_user ALTER big SET STORAGE EXTERNAL")
    tenant.run("INSERT INTO tb_user SELECT 'user ' || n, n::text, 'h', repeat('.', 100), repeat(md5(n::text), 200) FROM generate_series(1, 700) AS n")
    tenant.streamer.setup()
    told = runs(tenant)
    run = held(told, "chunk_read", 3, ["public.tb_user"])
    tenant.run("UPDATE tb_user SET note = 'large value untouched' WHERE id IN ('user 5', 'user 100', 'user 650')")
    tenant.run("UPDATE tb_user SET id = 'changed' WHERE id = 'user 101'")
    tenant.run("DELETE FROM tb_user WHERE id IN ('user 6', 'user 102', 'user 651')")
    let_go(told)
    wait_until(lambda: any(event.subject.endswith(".DELETE") for event in tenant.events()), SOON, "the events are stored", 0.01)
    told.streamer.kill()
    tenant.wait_free()
    told.streamer.start()
    told.wait_done(run)
    tenant.wait_confirmed()

    def masked(text: str) -> str:
        told = json.loads(text)
        told["id"] = hmac.new(b"a secret", told["id"].encode(), hashlib.sha256).hexdigest()
        return json.dumps(told | {"phone": "***"}, separators=(",", ":"), ensure_ascii=False)

    with tenant.connect() as connection:
        (shape,) = shapes(connection, tenant.name)
        columns = ("id", "phone", "note", "big")
        shape = type(shape)(shape.schema, shape.name, columns, ("id",), ("id",), True, f"SELECT {', '.join(columns)} FROM tb_user")
        judge = Backfilled([shape], tenant.prefix).follow(tenant.read())
        rows = [masked(text) for text in next(iter(tables_of(connection, [shape]).values()))]
        judge.compare({"public.tb_user": rows}).require_equal()
