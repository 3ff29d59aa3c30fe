"""`slotstream backfill`: what is asked for, and what is refused before anything is, from a machine on which no streamer runs."""

import base64
import getpass
import json

import pytest

from administrator import BUCKET
from servers.tools import wait_until
from tenants import refused, tenant_maker, tenants  # noqa: F401

_AT = "2026-11-23T07:09:12.123456+00:00"


def _requests(tenant) -> list[dict]:
    """What was asked for, as the streamer reads it."""
    message = tenant.administrator.api(f"STREAM.MSG.GET.KV_{BUCKET}", last_by_subj=f"$KV.{BUCKET}.{tenant.name}.backfill")["message"]
    found = json.loads(base64.b64decode(message["data"]))
    assert found["schema"] == "slotstream.backfill_requests/1"
    return found["requests"]


def _nothing_asked(tenant) -> bool:
    subjects = tenant.administrator.api(f"STREAM.INFO.KV_{BUCKET}", subjects_filter=">")["state"].get("subjects", {})
    return f"$KV.{BUCKET}.{tenant.name}.backfill" not in subjects


def _backfill(tenant, *arguments: str, expect: int = 0) -> dict:
    return json.loads(tenant.streamer.command("backfill", *arguments, "--json", expect=expect).stdout)


def _refused(tenant, *arguments: str) -> str:
    return refused(tenant.streamer, 78, "configuration", "backfill", *arguments)


def _put(tenant, state: str, run: int = 1, **members) -> None:
    """The record as a streamer would have put it: this run is under way, or over."""
    record = tenant.administrator.record(tenant.name)
    request = next(request for request in _requests(tenant) if request["run"] == run)
    record.pop("backfill", None)
    if state in ("done", "cancelled"):
        record.setdefault("finished_backfills", []).append(
            {"run": run, "state": state, "tables": ["public.tb_item"], "rows": 12, "started_at": _AT, "ended_at": _AT} | members)
    else:
        record["backfill"] = {
            "request": request, "state": state, "started_at": _AT, "history": "h", "table_index": 0, "estimated_rows": 300_000,
            "stored": {"run": run, "rows": 23_000, "finished_rows": 100_000, "digest": "0" * 16},
            "tables": [{"oid": 1, "name": "public.tb_item", "published": "public.tb_item", "published_oid": 1}] * 2} | members
    tenant.administrator.put_record(tenant.name, record)


@pytest.fixture
def tenant(pair, tenants):  # noqa: F811
    """Set up, with 1,000 rows; nobody streams."""
    made = tenants(pair)
    made.run("INSERT INTO tb_item SELECT n, repeat('x', 100) FROM generate_series(1, 1000) n; ANALYZE tb_item")
    return made


def test_a_run_is_asked_for_with_all_that_was_said(tenant):
    said = tenant.streamer.command("backfill", "--table", "public.tb_item")
    assert said.stdout.startswith("run 1: about 1,000 rows, ") and "assumed: no rate is set" in said.stdout, said.stdout
    (first,) = _requests(tenant)
    assert first.pop("requested_at").endswith("+00:00")
    assert first.pop("stream_created") == tenant.administrator.record(tenant.name)["stream_created"]
    assert first == {"run": 1, "tables": ["public.tb_item"], "operation": "READ", "wish": "run", "requested_by": getpass.getuser()}
    (run,) = _backfill(tenant, "--table", "public.tb_*", "--table", "public.tb_item", "--where", "n > 10", "--operation", "INSERT", "--rate",
                       "500", "--max-lag", "1MiB", "--by", "ann", "--into-stream", f"{tenant.name}_past")["runs"]
    assert (run["run"], run["state"], run["rows"]) == (2, "waiting", 0)
    second = _requests(tenant)[1]
    assert second.pop("stream_created") and second | {"requested_at": 0} == {
        "run": 2, "tables": ["public.tb_*", "public.tb_item"], "condition": "n > 10", "operation": "INSERT", "rate": 500, "max_lag_bytes": 1 << 20,
        "into_stream": f"{tenant.name}_past", "into_prefix": f"{tenant.name}_past", "wish": "run", "requested_by": "ann", "requested_at": 0}
    assert tenant.administrator.config(f"{tenant.name}_past")["subjects"] == [f"{tenant.name}_past.>"]
    tenant.administrator.delete(f"{tenant.name}_past")


def test_a_dry_run_asks_for_nothing(tenant):
    said = tenant.streamer.command("backfill", "--table", "public.tb_item", "--rate", "100", "--dry-run", expect=1)
    assert "public.tb_item" in said.stdout and "about 10 s at 100 rows/s" in said.stdout and "has room for" in said.stdout, said.stdout
    plan = _backfill(tenant, "--table", "public.tb_item", "--where", "n <= 100", "--dry-run", "--into-prefix", f"past.{tenant.name}", expect=1)["plan"]
    assert plan["rows"] == 100 and plan["new_stream"] and plan["stream"] == f"past_{tenant.name}" and plan["rate_assumed"]
    assert 40_000 < plan["bytes"] < 100_000, "a row and 400 bytes each"
    assert f"past_{tenant.name}" not in tenant.administrator.names() and _nothing_asked(tenant)


@pytest.mark.parametrize("condition, why", [
    ("m > 1", 'column "m" does not exist (42703)'), ("n >", "(42601)"), ("n", "(42804)"), ("true) OR (true", "(42601)"),
    ("true THEN true WHEN false", "(42601)"), ("true); DROP TABLE tb_item; --", "(42601)"), ("true; DROP TABLE tb_item", "(42601)"),
    ("n = $1", "(08P01)"), ("count(*) > 1", "(42803)"), ("true /*", "(42601)"), ("true ORDER BY n", "(42601)")])
def test_a_condition_that_postgres_does_not_take_is_refused(tenant, condition, why):
    said = _refused(tenant, "--table", "public.tb_item", "--where", condition)
    assert "the condition of --where cannot be used for public.tb_item: " in said and why in said, said
    assert _nothing_asked(tenant) and tenant.value("SELECT count(*) FROM tb_item") == 1000


@pytest.mark.parametrize("condition", ["n > 10 -- a comment", "note LIKE '%)%' AND n IN (SELECT 1)", "tb_item.n = 1"])
def test_any_other_condition_is_taken(tenant, condition):
    assert _backfill(tenant, "--table", "public.tb_item", "--where", condition)["runs"][0]["condition"] == condition


def test_tables_that_cannot_be_read_are_named_with_the_way_out(tenant):
    tenant.run("""CREATE VIEW tb_view AS SELECT 1; CREATE TABLE tb_aside (n int PRIMARY KEY); CREATE ROLE backfiller LOGIN PASSWORD 'x';
                  GRANT SELECT (n) ON tb_item TO backfiller""")
    try:
        assert "public.tb_view is a view" in _refused(tenant, "--table", "public.tb_view", "--dry-run")
        assert f"ALTER PUBLICATION {tenant.name} ADD TABLE public.tb_aside" in _refused(tenant, "--table", "public.tb_aside")
        assert "no published table matches public.tb_itme." in _refused(tenant, "--table", "public.tb_itme")
        said = _refused(tenant, "--table", "public.tb_itme", "--force")
        assert "publishes public.tb_item" in said, said
        url = tenant.conninfo.replace("user=postgres", "user=backfiller password=x")
        assert "user=backfiller" in url
        other = tenant.another({"backfill": {"url": url}})
        said = refused(other, 78, "configuration", "backfill", "--table", "public.tb_item")
        assert "backfiller may not read public.tb_item" in said and "GRANT SELECT ON public.tb_item TO backfiller" in said, said
        tenant.run("GRANT SELECT ON public.tb_item TO backfiller")
        assert _nothing_asked(tenant)
        other.command("backfill", "--table", "public.tb_item")
        excluded = tenant.another({"events": {"exclude": ["public.tb_item:UPDATE"]}})
        assert "events.exclude leaves out UPDATE" in refused(excluded, 78, "configuration", "backfill", "--table", "public.*")
    finally:
        tenant.run("DROP OWNED BY backfiller; DROP ROLE backfiller")


def test_a_stream_without_room_is_refused_unless_forced(pair, tenants):  # noqa: F811
    tenant = tenants(pair, overrides={"transport.nats.jetstream": {"max_bytes": 2**18, "replicas": 1}, "transport.nats": {"consumer_name": ""}})
    # What the stream itself holds: 100 KiB that a consumer has not read.
    tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{tenant.name}.worker", stream_name=tenant.name,
                             config={"durable_name": "worker", "ack_policy": "explicit", "deliver_policy": "all"})
    tenant.streamer.start()
    tenant.commit(1, note="x" * 100_000)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.run("INSERT INTO tb_item SELECT n, 'x' FROM generate_series(2, 500) n; ANALYZE tb_item")
    said = _refused(tenant, "--table", "public.tb_item")
    assert "would remove events that consumer worker has not read" in said and "--max-bytes=" in said and "--into-stream" in said, said
    tenant.run("INSERT INTO tb_item SELECT n, 'x' FROM generate_series(501, 2000) n; ANALYZE tb_item")
    said = _refused(tenant, "--table", "public.tb_item", "--dry-run")
    assert "rows of this very backfill" in said, said
    plan = json.loads(tenant.streamer.command("backfill", "--table", "public.tb_item", "--dry-run", "--json", expect=78).stdout)["plan"]
    assert "this very backfill" in plan["refusal"] and _nothing_asked(tenant)
    assert "warning: stream" in tenant.streamer.command("backfill", "--table", "public.tb_item", "--force").stderr
    assert len(_requests(tenant)) == 1


def test_the_target_is_none_that_the_live_stream_knows_of(tenant):
    assert "is the live stream" in _refused(tenant, "--table", "public.tb_item", "--into-stream", tenant.name)
    assert "also takes" in _refused(tenant, "--table", "public.tb_item", "--into-prefix", f"{tenant.prefix}.x")
    assert "nothing was asked for: " in _refused(tenant, "--table", "public.tb_item", "--into-prefix", f"{tenant.prefix}.x", "--dry-run")
    assert _nothing_asked(tenant)


def test_runs_are_paused_resumed_and_cancelled(tenant):
    assert "no backfill was asked for" in tenant.streamer.command("backfill", "--list").stdout
    assert _backfill(tenant, "--list") == {"schema": "slotstream.backfill/1", "runs": []}
    assert "no backfill is waiting or under way" in _refused(tenant, "--pause")
    for _ in range(2):
        tenant.streamer.command("backfill", "--table", "public.tb_item")
    assert "not over: run 1 (waiting), run 2 (waiting)" in _refused(tenant, "--pause")
    assert "there is no run 7" in _refused(tenant, "--cancel", "7")
    assert _backfill(tenant, "--cancel", "2")["runs"][0]["wish"] == "cancel"
    _put(tenant, "walking")
    (run,) = _backfill(tenant, "--pause", "1")["runs"]
    assert (run["run"], run["state"], run["wish"], run["rows"], run["estimated_rows"]) == (1, "walking", "pause", 123_000, 300_000)
    _put(tenant, "paused", why="because")
    assert [run.get("wish") for run in _backfill(tenant, "--list")["runs"]] == [None, "cancel"]
    tenant.streamer.command("backfill", "--resume", "1")
    assert [request["wish"] for request in _requests(tenant)] == ["run", "cancel"]
    shown = tenant.streamer.command("backfill", "--list").stdout
    assert "paused (to go on)" in shown and "run 1: because" in shown and "waiting (to be cancelled)" in shown, shown
    _put(tenant, "cancelled", run=2, why="somebody wanted it")
    _put(tenant, "done")
    assert [(run["run"], run["state"]) for run in _backfill(tenant, "--list")["runs"]] == [(1, "done"), (2, "cancelled")]
    assert "run 1 is done already" in _refused(tenant, "--pause", "1")
    # The next one has a number of its own, and those that are over are forgotten.
    assert _backfill(tenant, "--table", "public.tb_item")["runs"][0]["run"] == 3
    assert [request["run"] for request in _requests(tenant)] == [3]
    assert len(_backfill(tenant, "--list")["runs"]) == 3


def test_a_run_that_cannot_go_on_is_wanted_anew(tenant):
    tenant.streamer.command("backfill", "--table", "public.tb_item")
    _put(tenant, "failed", why="no right")
    process, _ = tenant.streamer.begin("backfill", "--resume")
    # A streamer that follows each wish.
    wait_until(lambda: _requests(tenant)[0]["wish"] == "pause", 20, "another wish comes first")
    _put(tenant, "paused")
    assert process.wait(20) == 0 and _requests(tenant)[0]["wish"] == "run"


def test_waiting_ends_with_the_run(tenant):
    tenant.streamer.command("backfill", "--table", "public.tb_item")
    ends = (("done", {}, 0, ""), ("done", {"why": "because"}, 1, "is done, but not whole: because"),
            ("cancelled", {"why": "because"}, 1, "was cancelled: because"), ("failed", {"why": "because"}, 1, "cannot go on: because"))
    for state, why, code, word in ends:
        process, said = tenant.streamer.begin("backfill", "--wait")
        _put(tenant, "walking")
        wait_until(lambda said=said: "waiting for the streamer" in said.read_text() or "123000 rows" in said.read_text(), 20, "it is shown")
        _put(tenant, state, **why)
        assert process.wait(20) == code and word in said.read_text(), said.read_text()
        record = tenant.administrator.record(tenant.name)
        tenant.administrator.put_record(tenant.name, record | {"finished_backfills": []})


def test_a_streamer_carries_it_out_while_somebody_waits(pair, tenants):  # noqa: F811
    tenant = tenants(pair, overrides={"backfill": {"rate": 500}})
    tenant.run("INSERT INTO tb_item SELECT n, 'x' FROM generate_series(1, 3000) n; ANALYZE tb_item")
    tenant.streamer.start()
    process, said = tenant.streamer.begin("backfill", "--table", "public.tb_item", "--where", "n > 100", "--wait")
    wait_until(lambda: "backfill" in json.loads(tenant.streamer.command("status", "--json", expect=None).stdout), 20, "status shows it")
    tenant.streamer.command("backfill", "--pause")
    wait_until(lambda: _backfill(tenant, "--list")["runs"][0]["state"] == "paused", 20, "it rests")
    rows = _backfill(tenant, "--list")["runs"][0]["rows"]
    assert 0 <= rows < 2900
    tenant.streamer.command("backfill", "--resume")
    assert process.wait(60) == 0
    assert "rows" in said.read_text()
    (run,) = _backfill(tenant, "--list")["runs"]
    assert (run["state"], run["rows"], run["rate"]) == ("done", 2900, 500)


def test_status_shows_the_run_that_is_under_way(tenant):
    assert "backfill" not in json.loads(tenant.streamer.command("status", "--json", expect=1).stdout)
    tenant.streamer.command("backfill", "--table", "public.tb_item")
    _put(tenant, "walking", table_index=1)
    told = json.loads(tenant.streamer.command("status", "--json", expect=1).stdout)["backfill"]
    assert told == {"run": 1, "state": "walking", "tables": ["public.tb_item"], "table": "public.tb_item", "rows": 123_000,
                    "estimated_rows": 300_000, "fraction": 0.5}
    assert "  backfill   run 1: public.tb_item, 123,000 rows, 50 %\n" in tenant.streamer.command("status", expect=1).stdout


def test_what_a_later_version_wrote_is_left_alone(tenant):
    tenant.administrator._request(f"$KV.{BUCKET}.{tenant.name}.backfill", b'{"schema":"slotstream.backfill_requests/9"}')
    for arguments in (["--list"], ["--table", "public.tb_item"], ["--pause", "1"]):
        assert "another version of Slotstream wrote them" in _refused(tenant, *arguments)


def test_without_a_record_nobody_can_carry_it_out(one_pair, tenants):  # noqa: F811
    tenant = tenants(one_pair)
    other = tenant.another({"transport.nats": {"stream_name": "elsewhere"}})
    assert "there is no checkpoint record for stream elsewhere" in refused(other, 78, "configuration", "backfill", "--table", "public.tb_item")


@pytest.mark.parametrize("arguments", [
    [], ["--pause", "--cancel"], ["--list", "1"], ["--table", "tb_item"], ["--table", "a.b", "--operation", "UPDATE"], ["--where", "true", "--list"],
    ["--table", "a.b", "--where", " "], ["--table", "a.b", "--rate", "-1"], ["--table", "a.b", "--max-lag", "1MB"], ["--table", "a.b", "3"],
    ["--table", "a.b", "--dry-run", "--wait"], ["--pause", "one"]])
def test_wrong_arguments_are_refused(one_pair, tenants, arguments):  # noqa: F811
    assert "Error: " in tenants(one_pair, setup=False).streamer.command("backfill", *arguments, expect=64).stderr
