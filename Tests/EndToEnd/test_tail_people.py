"""`tail` for people: columns that fit, where to end, what markers mean, and what is said while nothing comes."""

import json
import re
import subprocess
import time
from datetime import datetime, timedelta

import pytest

from tenants import streamed, tenant_maker, tenants  # noqa: F401
from terminal import COLUMNS, Terminal


def _tail(tenant, *arguments: str) -> list[dict]:
    return [json.loads(line) for line in tenant.streamer.command("tail", "--json", *arguments).stdout.splitlines()]


@pytest.fixture
def seven(pair, tenants):  # noqa: F811
    """Rows 1 to 6 as they are inserted, and an update of the first; a second passes between the third and the fourth."""
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    time.sleep(1.1)
    tenant.commit_each(4, 6)
    tenant.run("UPDATE tb_item SET note = 'new' WHERE n = 1")
    tenant.wait_stored(7)
    return tenant


def test_no_follow_ends_where_the_stream_ends(seven):
    everything = [event.json for event in seven.events()]
    assert _tail(seven, "--from", "first", "--no-follow") == everything
    assert _tail(seven, "--from", "5", "--no-follow") == everything[4:]
    assert _tail(seven, "--from", "now", "--no-follow") == []
    assert _tail(seven, "--from", "first", "--no-follow", "--count", "2") == everything[:2]
    # The last that fits lies before the end; of another kind there is none behind the start.
    assert _tail(seven, "--from", "first", "--no-follow", "--operation", "INSERT") == everything[:6]
    assert _tail(seven, "--from", "7", "--no-follow", "--operation", "INSERT") == []
    assert _tail(seven, "--from", "1h", "--no-follow", "--operation", "DELETE") == []


def test_until_ends_behind_the_place_that_is_named(seven):
    events = seven.events()
    everything = [event.json for event in events]
    assert _tail(seven, "--from", "first", "--until", "3") == everything[:3]
    assert _tail(seven, "--from", "2", "--until", everything[3]["transaction"]["lsn"]) == everything[1:4]
    between = datetime.fromisoformat(everything[3]["timestamp"]) - timedelta(milliseconds=500)
    assert _tail(seven, "--from", "first", "--until", between.isoformat()) == everything[:3]
    assert _tail(seven, "--from", "1h", "--until", "30m") == []
    assert _tail(seven, "--from", "first", "--until", "3", "--operation", "UPDATE") == []
    assert _tail(seven, "--from", "first", "--until", "99", "--no-follow") == everything


def test_until_a_place_that_is_to_come_waits_for_it(seven):
    process = subprocess.Popen([str(seven.streamer.binary), "tail", "--json", "--from", "7", "--until", "9", "--config",
                                str(seven.streamer.config)], stdout=subprocess.PIPE, text=True, env=seven.streamer.environment)
    try:
        assert json.loads(process.stdout.readline())["operation"] == "UPDATE"
        seven.commit_each(8, 10)
        rest, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    assert [json.loads(line)["entity"]["n"] for line in rest.splitlines()] == [8, 9]
    assert process.returncode == 0


@pytest.mark.parametrize("place", ["", "now", "first", "-1", "0/", "yesterday"])
def test_until_says_what_places_there_are(one_pair, tenants, place):
    done = tenants(one_pair).streamer.command("tail", "--until", place, expect=64)
    assert "--until" in done.stderr and not done.stdout


def test_a_line_says_when_where_what_and_whose(seven):
    lines = seven.streamer.command("tail", "--from", "first", "--no-follow").stdout.splitlines()
    assert len(lines) == 7
    events = seven.events()
    for line, event in zip(lines, events, strict=True):
        body = event.json
        clock = body["timestamp"][11:23]
        transaction = f"tx {body['transaction']['id']} 1/1"
        columns = {"INSERT": f"n={body['entity']['n']} note=", "UPDATE": "n=1 note=new"}[body["operation"]]
        # The id is shown once: a column that says the same is left out.
        columns = columns.removeprefix(f"n={body['entity_id']} ")
        expected = rf"(\d{{4}}-\d\d-\d\d )?{clock}  #{event.sequence}  Item {body['operation']}  {body['entity_id']}  {re.escape(columns)}.*   {transaction}"
        assert re.fullmatch(expected, line), (line, expected)


def test_a_line_fits_a_terminal(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.run("ALTER TABLE tb_item ADD more TEXT, ADD other TEXT")
    tenant.streamer.start()
    with tenant.connect() as connection:
        connection.execute("INSERT INTO tb_item VALUES (1, %s, %s, %s)", ("a" * 200, "b" * 30, "c"))
        connection.execute("INSERT INTO tb_item VALUES (2, 'x', 'y', 'z')")
    tenant.wait_stored(2)
    with Terminal(tenant.streamer, "tail", "--from", "first", "--no-follow") as terminal:
        assert terminal.end() == 0
    assert max(map(len, terminal.lines)) <= COLUMNS, terminal.lines
    assert "note=aaaa" in terminal.lines[0] and "note=x more=y other=z" in terminal.lines[1]


def test_while_nothing_comes_it_says_where_the_stream_stands(one_pair, tenants):
    tenant = tenants(one_pair)
    with Terminal(tenant.streamer, "tail") as terminal:
        terminal.wait_for(r"waiting for events \(the stream has none yet\) …")
    streamed(tenant)
    with Terminal(tenant.streamer, "tail") as terminal:
        terminal.wait_for(r"waiting for events \(stream at #3, last \d+(\.\d)? (s|min) ago\) …")
    # For programs, data are data.
    done = tenant.streamer.command("tail", "--from", "first", "--no-follow")
    assert len(done.stdout.splitlines()) == 3 and not done.stderr


def test_markers_say_what_they_mean(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    tenant.run(f"SELECT pg_drop_replication_slot('{tenant.name}')")
    tenant.streamer.command("slot", "advance", "--accept-gap", "--by", "ann")
    tenant.streamer.start()
    tenant.run("SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')")
    tenant.wait_stored(5)
    gap, poison = tenant.streamer.command("tail", "--from", "4", "--no-follow").stdout.splitlines()
    assert "#4  GAP  changes are missing  from_lsn=" in gap
    assert "accepted_by=ann" in gap and "reason=slot_missing" in gap and re.search(r"from_lsn=[0-9A-F]+/[0-9A-F]+", gap)
    assert "#5  _slotstream POISON  cannot be an event" in poison and "reason=" in poison


def test_a_name_that_is_not_there_is_told_with_the_nearest(one_pair, tenants):
    tenant = tenants(one_pair)
    streamed(tenant)
    done = tenant.streamer.command("tail", "--entity", "Itme", expect=64)
    assert "Did you mean Item?" in done.stderr, done.stderr


def test_one_event_a_line_with_the_numbers_as_they_were_written(pair, tenants):
    tenant = tenants(pair)
    tenant.run("ALTER TABLE tb_item ADD document json, ADD price numeric")
    tenant.streamer.start()
    document = '{"a" :\n\t1.50,\r\n "b": [1e400, 100000000000000000000000000000001]\n}'
    with tenant.connect() as connection:
        connection.execute("INSERT INTO tb_item VALUES (1, 'x', %s, 12.500)", (document,))
    tenant.wait_stored(1)
    (line,) = tenant.streamer.command("tail", "--json", "--from", "first", "--no-follow").stdout.splitlines()
    for text in ('"price":12.500', "1.50", "1e400", "100000000000000000000000000000001"):
        assert text in line
    assert json.loads(line) == tenant.events()[0].json
