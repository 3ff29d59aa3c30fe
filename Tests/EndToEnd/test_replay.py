"""`slotstream replay`: a range of the past, into another stream, while the live streamer runs on."""

import json
import re
import threading
import time

import pytest

import stream
from conftest import POSTGRES_PAIRS
from servers.tools import wait_until
from tenants import PATIENT, tenant_maker, tenants  # noqa: F401
from windows import WINDOW, started


def _filled(tenant, count: int = 30):
    """The streamer runs with an anchor; so many rows are stored and confirmed; returns the events."""
    started(tenant)
    tenant.commit_each(1, count)
    tenant.wait_confirmed()
    return tenant.events()


def _replay(tenant, *arguments: str, expect: int = 0) -> dict:
    done = tenant.streamer.command("replay", "--json", *arguments, expect=expect)
    return json.loads(done.stdout) if expect == 0 else {"error": done.stderr}


def _target(tenant, name: str) -> list:
    return tenant.administrator.messages(name)


def _require_copies(copies, originals, prefix: str, target: str, replay_id: str) -> None:
    """The same events in the same order, under ids of the replay and subjects of the target."""
    assert [copy.id for copy in copies] == [f"{event.id}.r.{replay_id}" for event in originals]
    assert [copy.subject for copy in copies] == [target + event.subject.removeprefix(prefix) for event in originals]
    assert [copy.json for copy in copies] == [event.json for event in originals]


@pytest.mark.parametrize("versions", POSTGRES_PAIRS, ids=str)
@pytest.mark.parametrize("by", ["lsn", "time", "sequence"])
def test_a_range_is_replayed_exactly(versions, tenants, by):
    tenant = tenants(versions, overrides=WINDOW)
    events = _filled(tenant)
    wanted = events[9:20]
    bounds = {
        "lsn": [wanted[0].json["transaction"]["lsn"], wanted[-1].json["transaction"]["lsn"]],
        "time": [wanted[0].json["timestamp"], wanted[-1].json["timestamp"]],
        "sequence": [str(wanted[0].sequence), str(wanted[-1].sequence)],
    }[by]
    target = f"again.{tenant.name}"
    told = _replay(tenant, f"--from-{by}", bounds[0], f"--to-{by}", bounds[1], "--into-prefix", target)
    assert told["published"] == len(wanted) and told["from_stream"] == 0
    _require_copies(_target(tenant, told["stream"]), wanted, tenant.prefix, target, told["replay_id"])
    assert told["by_subject"] == {f"{target}.Item.INSERT": len(wanted)}
    # The live stream knows nothing of it.
    tenant.commit(31)
    tenant.wait_stored(31)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 32))


def test_what_the_window_does_not_reach_comes_from_the_stream(pair, tenants):
    tenant = tenants(pair, overrides={"replay": {"window": "1s"}})
    started(tenant)
    tenant.commit_each(1, 10)
    first = tenant.wait_confirmed()
    reach = "SELECT (confirmed_flush_lsn - '0/0')::bigint >= %s FROM pg_replication_slots WHERE slot_name = %s || '_anchor'"
    wait_until(lambda: tenant.value(reach, (first, tenant.name)), 60, "the window has moved on")
    tenant.commit_each(11, 15)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    events = tenant.events()
    target = f"whole.{tenant.name}"
    told = _replay(tenant, "--from-sequence", "1", "--into-prefix", target)
    assert told["published"] == 15 and told["from_stream"] >= 10
    _require_copies(_target(tenant, told["stream"]), events, tenant.prefix, target, told["replay_id"])
    assert "reaches back to" in _replay(tenant, "--from-sequence", "1", "--from", "wal", "--into-prefix", f"wal.{tenant.name}", expect=78)["error"]
    assert _replay(tenant, "--from-sequence", "1", "--from", "stream", "--into-prefix", f"stored.{tenant.name}")["from_stream"] == 15


def test_filters_and_a_dry_run(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _filled(tenant, 5)
    tenant.run("UPDATE tb_item SET note = 'x' WHERE n < 3; DELETE FROM tb_item WHERE n = 5")
    tenant.wait_confirmed()
    told = _replay(tenant, "--dry-run")
    assert told["by_subject"] == {f"{tenant.prefix}.Item.INSERT": 5, f"{tenant.prefix}.Item.UPDATE": 2, f"{tenant.prefix}.Item.DELETE": 1}
    assert told["reach"]["window_lsn"] and told["reach"]["stream_lsn"]
    assert "stream" not in told
    for arguments, count in [(("--operation", "update"), 2), (("--entity", "item"), 8), (("--entity", "tb_item", "--operation", "DELETE"), 1),
                             (("--table", "public.tb_item"), 8), (("--table", "public.tb_other"), 0)]:
        assert _replay(tenant, "--dry-run", *arguments)["published"] == count, arguments
    said = tenant.streamer.command("replay", "--dry-run", "--entity", "nothing")
    assert "no event of nothing in this range. The range holds: Item" in said.stderr
    assert "Nothing was sent" in said.stdout
    assert not [name for name in tenant.administrator.names() if name.startswith("rules")], "a dry run makes no stream"


def test_it_is_refused_where_it_would_feed_the_live_stream(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    _filled(tenant, 2)
    for arguments in (("--into-prefix", tenant.prefix), ("--into-prefix", f"{tenant.prefix}.again"), ("--into-stream", tenant.name)):
        assert "nothing was replayed" in _replay(tenant, *arguments, expect=78)["error"], arguments
    assert tenant.last_sequence() == 2


def test_missing_only_fills_what_is_not_there(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    events = _filled(tenant, 20)
    target = f"gaps.{tenant.name}"
    _replay(tenant, "--to-sequence", "5", "--into-prefix", target)
    _replay(tenant, "--from-sequence", "12", "--into-prefix", target)
    told = _replay(tenant, "--missing-only", "--into-prefix", target)
    assert (told["published"], told["skipped"]) == (6, 14)
    ids = [copy.id.split(".r.")[0] for copy in _target(tenant, told["stream"])]
    assert sorted(ids) == sorted(event.id for event in events) and len(set(ids)) == 20


@pytest.mark.parametrize("kind", ["wal", "stream"])
def test_a_killed_replay_is_resumed(pair, tenants, kind):
    tenant = tenants(pair, overrides=WINDOW)
    started(tenant)
    tenant.run("INSERT INTO tb_item SELECT generate_series(1, 20000)")
    tenant.wait_confirmed()
    events = tenant.read()
    target = f"killed.{tenant.name}"
    arguments = ["--from", kind, "--into-prefix", target, "--replay-id", "once"]
    tenant.streamer.environment["SLOTSTREAM_FAILPOINT"] = "after_replayed=kill:3"
    assert tenant.streamer.command("replay", *arguments, expect=None).returncode == -9
    del tenant.streamer.environment["SLOTSTREAM_FAILPOINT"]
    told = _replay(tenant, *arguments)
    assert told["skipped"] > 0 and told["skipped"] + told["published"] == 20000
    copies = list(stream.read(tenant.nats.url, told["stream"]))
    assert [copy.id for copy in copies] == [f"{event.id}.r.once" for event in events]
    # Once more: nothing is left to be sent.
    assert _replay(tenant, *arguments)["published"] == 0


def test_it_keeps_to_its_rate_and_says_how_it_goes(one_pair, tenants):
    tenant = tenants(one_pair, overrides=WINDOW)
    started(tenant)
    tenant.run("INSERT INTO tb_item SELECT generate_series(1, 700)")
    tenant.wait_confirmed()
    done = tenant.streamer.command("replay", "--into-prefix", f"slow.{tenant.name}", "--rate", "100")
    assert re.search(r"replay r\w+  [█░]+ \d+ %  \d+ events  \d+/s", done.stderr), done.stderr
    assert "700 events sent to stream" in done.stdout


def test_it_says_what_is_wrong_with_what_it_was_given(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    command = tenant.streamer.command
    assert "Name the target" in command("replay", expect=64).stderr
    assert "--from-lsn takes an LSN" in command("replay", "--dry-run", "--from-lsn", "x", expect=64).stderr
    assert "is before the beginning" in command("replay", "--dry-run", "--from-sequence", "5", "--to-sequence", "2", expect=64).stderr
    assert "has no event at sequence 99" in command("replay", "--dry-run", "--from-sequence", "99", expect=78).stderr
    assert "Set replay.window" in command("replay", "--dry-run", "--from", "wal", expect=78).stderr
    assert "does not exist" in command("replay", "--dry-run", "--slot", "nobody", expect=78).stderr
    # Without a window there is the stream.
    assert json.loads(command("replay", "--dry-run", "--json").stdout)["from_stream"] == 1


@pytest.mark.parametrize("versions", POSTGRES_PAIRS, ids=str)
def test_ranges_are_exact_while_a_thousand_commits_a_second_go_through(versions, tenants):
    """A stream that is written to, replayed from by LSN, time and sequence, each from where the load was at that moment."""
    tenant = tenants(versions, overrides=WINDOW | PATIENT)
    started(tenant)
    tenant.run("INSERT INTO tb_item SELECT generate_series(1, 3000)")
    tenant.wait_confirmed()
    is_over = threading.Event()
    committed = [3000]

    def load() -> None:
        with tenant.connect() as connection:
            connection.execute("SET synchronous_commit = off")
            began, first = time.monotonic(), committed[0]
            while not is_over.is_set():
                # No faster than a thousand a second.
                while committed[0] - first < (time.monotonic() - began) * 1000:
                    committed[0] += 1
                    connection.execute("INSERT INTO tb_item VALUES (%s)", (committed[0],))
                is_over.wait(0.005)

    thread = threading.Thread(target=load)
    thread.start()
    told = {}
    try:
        for by in ("lsn", "time", "sequence"):
            wait_until(lambda: tenant.last_sequence() > 3000, 30, "the load is stored")
            last = tenant.administrator.message(tenant.name, tenant.last_sequence())
            event = json.loads(last["body"])
            end = {"lsn": event["transaction"]["lsn"], "time": event["timestamp"], "sequence": None}[by]
            end = end or str(tenant.last_sequence())
            # What a record tells of is what is replayed.
            tenant.wait_confirmed()
            told[by] = (end, _replay(tenant, f"--to-{by}", end, "--into-prefix", f"{by}.{tenant.name}"))
    finally:
        is_over.set()
        thread.join()
    # No commit has waited until its WAL was flushed.
    tenant.wait_stored(committed[0])
    tenant.wait_confirmed(60)
    live = tenant.read()
    assert [event.json["entity"]["n"] for event in live] == list(range(1, committed[0] + 1)), "the live stream is whole"
    for by, (end, outcome) in told.items():
        if by == "sequence":
            wanted = [event for event in live if event.sequence <= int(end)]
        elif by == "time":
            wanted = [event for event in live if event.json["timestamp"] <= end]
        else:
            last = next(index for index, event in enumerate(live) if event.json["transaction"]["lsn"] == end)
            wanted = live[:last + 1]
        copies = list(stream.read(tenant.nats.url, outcome["stream"]))
        _require_copies(copies, wanted, tenant.prefix, f"{by}.{tenant.name}", outcome["replay_id"])


def test_a_replay_goes_on_though_retention_took_its_last_event(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"replay": {"window": "0"}})
    tenant.streamer.start()
    tenant.commit_each(1, 20)
    tenant.wait_confirmed()
    target = f"later.{tenant.name}"
    assert _replay(tenant, "--to-sequence", "5", "--into-prefix", target, "--replay-id", "once")["published"] == 5
    tenant.administrator.api(f"STREAM.PURGE.{tenant.name}", keep=12)
    told = _replay(tenant, "--into-prefix", target, "--replay-id", "once")
    assert (told["published"], told["skipped"]) == (12, 0)
    assert [event.json["entity"]["n"] for event in _target(tenant, told["stream"])] == [*range(1, 6), *range(9, 21)]
