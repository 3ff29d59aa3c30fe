"""The commands that look and do not stream: help, tail, decode, slot, status, health, config."""

import json
import os
import re
import subprocess
import time
from datetime import datetime, timedelta, timezone
from itertools import islice

import pytest

from tenants import PATIENT, tenant_maker, tenants  # noqa: F401

_COMMANDS = ["run", "setup", "status", "tail", "slot list", "slot create", "slot drop", "slot advance", "mend", "decode", "health", "config"]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_commands_help_has_an_example(one_pair, tenants, command):
    streamer = tenants(one_pair, setup=False).streamer
    done = subprocess.run([str(streamer.binary), *command.split(), "--help"], capture_output=True, text=True)
    assert done.returncode == 0
    assert re.search(rf"Example:\n\s+slotstream {command}\b", done.stdout), done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80, "an example that a terminal breaks cannot be pasted"
    wrong = subprocess.run([str(streamer.binary), *command.split(), "--no-such-flag"], capture_output=True, text=True)
    assert wrong.returncode == 64 and not wrong.stdout, wrong


def _filled(tenant) -> list:
    """Seven events of two entities; returns them. A second passes between the third and the fourth: a time lies between them."""
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    time.sleep(1.1)
    tenant.run("INSERT INTO tb_item VALUES (4)")
    tenant.run("UPDATE tb_item SET note = 'n' WHERE n = 4")
    tenant.run("CREATE TABLE tb_other (n BIGINT PRIMARY KEY)")
    tenant.run(f"ALTER PUBLICATION {tenant.name} ADD TABLE tb_other")
    tenant.run("INSERT INTO tb_other VALUES (5)")
    tenant.run("DELETE FROM tb_other")
    tenant.wait_stored(7)
    return tenant.events()


def _tail(tenant, *arguments: str, count: int) -> list[dict]:
    done = tenant.streamer.command("tail", "--json", "--count", str(count), *arguments)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_tail_begins_where_it_is_told_to(pair, tenants):
    tenant = tenants(pair)
    events = _filled(tenant)
    everything = [event.json for event in events]
    assert _tail(tenant, "--from", "first", count=7) == everything
    assert _tail(tenant, "--from", "3", count=5) == everything[2:]
    # At its commit, a byte later, and before everything.
    lsn = everything[2]["transaction"]["lsn"]
    assert _tail(tenant, "--from", lsn, count=5) == everything[2:]
    high, low = lsn.split("/")
    assert _tail(tenant, "--from", f"{high}/{int(low, 16) + 1:X}", count=4) == everything[3:]
    assert _tail(tenant, "--from", "0/1", count=7) == everything
    between = datetime.fromisoformat(everything[3]["timestamp"]) - timedelta(milliseconds=500)
    for form in (between.isoformat(), between.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")):
        assert _tail(tenant, "--from", form, count=4) == everything[3:]
    assert _tail(tenant, "--from", "1h", count=7) == everything


def test_data_that_cannot_be_written_is_no_success(one_pair, tenants):
    streamer = tenants(one_pair).streamer
    with open("/dev/full", "w") as full:
        done = subprocess.run([str(streamer.binary), "config", "--config", str(streamer.config)], stdout=full, stderr=subprocess.PIPE,
                              text=True, env=streamer.environment, timeout=60)
    assert done.returncode == 70 and "standard output" in done.stderr, done


def test_a_reader_that_takes_its_time_gets_all(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit(*range(1, 1001), note="x" * 200)
    tenant.wait_stored(1000)
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    # More than a pipe holds.
    process = subprocess.Popen([str(tenant.streamer.binary), "tail", "--from", "first", "--count", "1000", "--json",
                                "--config", str(tenant.streamer.config)], stdout=writing, env=tenant.streamer.environment)
    os.close(writing)
    time.sleep(1)
    with open(reading) as lines:
        assert len(lines.readlines()) == 1000
    assert process.wait(60) == 0


def test_tail_filters_by_entity_and_operation(pair, tenants):
    tenant = tenants(pair)
    events = [event.json for event in _filled(tenant)]
    for flag, name in (("--entity", "entity_type"), ("--operation", "operation")):
        for value in {event[name] for event in events}:
            fitting = [event for event in events if event[name] == value]
            assert _tail(tenant, "--from", "first", flag, value, count=len(fitting)) == fitting


def test_tail_from_now_shows_what_is_stored_from_then_on(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    process = subprocess.Popen([str(tenant.streamer.binary), "tail", "--json", "--count", "2", "--config",
                                str(tenant.streamer.config)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env=tenant.streamer.environment)
    number = 1
    try:
        # Its consumer is made some moment after its start: it shows from then on.
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            number += 1
            tenant.commit(number)
            time.sleep(0.02)
        shown = [json.loads(line)["entity"]["n"] for line in process.communicate(timeout=20)[0].splitlines()]
    finally:
        process.kill()
    assert len(shown) == 2 and shown[1] == shown[0] + 1 and shown[0] > 1


@pytest.mark.parametrize("place", ["", "yesterday", "-1", "0/", "1x", "2026-99-01T00:00:00Z", "999999d", "9" * 300 + "d"])
def test_tail_says_what_places_there_are(one_pair, tenants, place):
    done = tenants(one_pair).streamer.command("tail", "--from", place, expect=64)
    assert "--from" in done.stderr and not done.stdout


def test_decode_shows_what_the_slot_would_send_without_moving_it(pair, tenants, tmp_path):
    tenant = tenants(pair)
    tenant.run("SELECT pg_logical_emit_message(false, 'a prefix', 'content')")
    tenant.run("INSERT INTO tb_item VALUES (1, 'one'); UPDATE tb_item SET note = 'two'; DELETE FROM tb_item")
    before = tenant.confirmed()
    lines = tenant.streamer.command("decode").stdout.splitlines()
    assert tenant.confirmed() == before
    kinds = [line.split()[1] for line in lines]
    assert [kind for kind in kinds if kind != "RELATION"] == ["MESSAGE", "BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT"]
    assert "a prefix" in lines[0] and "tb_item" in lines[3]
    # The same from a file.
    with tenant.connect() as connection:
        messages = connection.execute(
            "SELECT encode(data, 'hex') FROM pg_logical_slot_peek_binary_changes(%s, NULL, NULL, 'proto_version', '1', "
            "'publication_names', %s, 'messages', 'true')", (tenant.name, tenant.name)).fetchall()
    file = tmp_path / "messages.hex"
    file.write_text("# a comment\n" + "".join(f"{row[0]}\n" for row in messages))
    decoded = tenant.streamer.command("decode", str(file)).stdout.splitlines()
    assert decoded == [line.split(" ", 1)[1] for line in lines]


@pytest.mark.parametrize("content", ["zz", "4", "42", "00", "52ffffffff"])
def test_decode_of_what_is_no_message_names_its_fault(one_pair, tenants, tmp_path, content):
    file = tmp_path / "messages.hex"
    file.write_text(content + "\n")
    done = tenants(one_pair, setup=False).streamer.command("decode", str(file), expect=None)
    assert done.returncode == 64 and "line 1: " in done.stderr and done.stderr.startswith("slotstream: "), done
    assert not done.stdout


def test_slot_list_create_and_drop(pair, tenants):
    tenant = tenants(pair, setup=False)
    streamer = tenant.streamer

    def listed() -> dict:
        answer = json.loads(streamer.command("slot", "list", "--json").stdout)
        assert answer["schema"] == "slotstream.slot/1"
        return {slot["name"]: slot for slot in answer["slots"]}

    assert tenant.name not in listed()
    streamer.command("slot", "create")
    slot = listed()[tenant.name]
    assert (slot["plugin"], slot["database"], slot["active"]) == ("pgoutput", tenant.name, False)
    assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", slot["confirmed_lsn"])
    if pair.postgres == "18":
        assert slot["failover"] is True
    assert tenant.administrator.record(tenant.name)["confirmed_lsn"] == slot["confirmed_lsn"]
    header, *lines = streamer.command("slot", "list").stdout.splitlines()
    assert header.split()[:4] == ["SLOT", "DATABASE", "PLUGIN", "STATE"]
    assert [tenant.name, tenant.name, "pgoutput", "idle"] in [line.split()[:4] for line in lines]
    # It asks; another answer than the name is no.
    for answer, code in (("no\n", 64), ("", 64), (f"{tenant.name}\n", 0)):
        done = subprocess.run([str(streamer.binary), "slot", "drop", "--config", str(streamer.config)], input=answer,
                              capture_output=True, text=True, env=streamer.environment)
        assert done.returncode == code, done
        assert (tenant.name in listed()) == (code != 0)
    done = streamer.command("slot", "drop", "--yes", expect=None)
    assert done.returncode not in (0, 70) and tenant.name in done.stderr, done


def test_a_failover_slot_is_made_only_when_asked_for(one_pair, tenants):
    tenant = tenants(one_pair, overrides={"source": {"failover": False}})
    slots = json.loads(tenant.streamer.command("slot", "list", "--json").stdout)["slots"]
    (slot,) = (slot for slot in slots if slot["name"] == tenant.name)
    # Unknown to a server before 17, and so absent.
    assert slot.get("failover") == (False if int(one_pair.postgres) >= 17 else None)


def test_status_tells_of_both_servers_whether_or_not_a_streamer_runs(pair, tenants):
    tenant = tenants(pair)

    def status(code: int) -> dict:
        return json.loads(tenant.streamer.command("status", "--json", expect=code).stdout)

    stopped_status = status(1)
    assert (stopped_status["role"], stopped_status["live"], stopped_status["ready"]) == ("stopped", False, False)
    assert stopped_status["reasons"]
    assert "counters" not in stopped_status and "in_flight" not in stopped_status, "unknown is absent"
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    running = status(0)
    assert (running["schema"], running["role"], running["ready"]) == ("slotstream.status/1", "active", True)
    assert running["counters"]["events"] == 1 and running["stream"]["messages"] == 1
    source = running["source"]
    assert (source["slot"], source["plugin"], source["timeline"]) == (tenant.name, "pgoutput", 1)
    for name in ("received_lsn", "stored_lsn", "confirmed_lsn"):
        assert re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", source[name])
    text = tenant.streamer.command("status").stdout
    assert tenant.name in text and "● STREAMING" in text and "\x1b" not in text
    # Another streamer's endpoint is not taken for ours.
    other = tenant.another({"http": {"listen": tenant.streamer.http}, "source": {"slot": "other"},
                            "transport.nats": {"stream_name": "other"}})
    assert json.loads(other.command("status", "--json", expect=1).stdout)["role"] == "stopped"


def test_status_is_shown_again_until_it_is_interrupted(pair, tenants):
    tenant = tenants(pair)
    streamer = tenant.streamer
    process = subprocess.Popen([str(streamer.binary), "status", "--watch", "--json", "--config", str(streamer.config)],
                               env=streamer.environment, stdout=subprocess.PIPE, text=True)
    try:
        first = json.loads(process.stdout.readline())
        tenant.streamer.start()
        tenant.commit(1)
        tenant.wait_stored(1)
        # One that had begun before may still come.
        later = next(status for status in map(json.loads, islice(process.stdout, 10)) if status["stream"].get("messages"))
    finally:
        process.terminate()
        process.wait(10)
    assert first["role"] == "stopped"
    assert (later["role"], later["stream"]["messages"]) == ("active", 1)


def test_status_of_what_is_not_set_up_says_so(pair, tenants):
    tenant = tenants(pair, setup=False)
    said = json.loads(tenant.streamer.command("status", "--json", expect=1).stdout)
    assert said["role"] == "stopped"
    assert any("slot" in reason for reason in said["reasons"]) and any("stream" in reason for reason in said["reasons"])


def test_health_asks_the_running_streamer(pair, tenants):
    # Pitfall 39.
    tenant = tenants(pair)
    streamer = tenant.streamer
    assert streamer.command("health", expect=1).returncode == 1
    streamer.start()
    assert "true" in streamer.command("health").stdout
    streamer.command("health", "--ready")
    tenant.nats.kill()
    tenant.commit(1)
    deadline = time.monotonic() + 20
    while streamer.command("health", "--ready", expect=None).returncode == 0:
        assert time.monotonic() < deadline, "it stays ready without NATS"
    said = streamer.command("health", "--ready", expect=1)
    assert "NATS" in said.stdout + said.stderr
    streamer.command("health")
    tenant.nats.start()
    streamer.wait_ready()
    off = tenant.another({"http": {"listen": ""}})
    assert "http.listen is off" in off.command("health", expect=1).stderr


def test_config_shows_each_value_with_its_origin_and_no_secret(one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    streamer = tenant.another({"transport.nats": {"url": "nats://user:hidden-one@localhost:4222"}},
                              conninfo="postgresql://app:hidden-two@db/shop")
    streamer.environment["SLOTSTREAM_LOG_LEVEL"] = "warning"
    shown = streamer.command("config", "--set", "source.slot=from_flag").stdout
    told = json.loads(streamer.command("config", "--json", "--set", "source.slot=from_flag").stdout)
    assert told["schema"] == "slotstream.config/1"
    assert "hidden" not in shown + json.dumps(told)
    assert re.search(r'slot = "from_flag".*--set|slot = "from_flag".*flag', shown), shown
    assert re.search(r'level = "warning".*SLOTSTREAM_LOG_LEVEL', shown), shown
    assert re.search(r"ack_timeout = \"10s\".*default", shown), shown
    broken = tenant.another({"source": {"slto": "x", "wal_sender_timeout": "soon"}, "nonsense": {"a": 1}})
    done = broken.command("config", expect=78)
    for complaint in ("slto", "slot", "wal_sender_timeout", "nonsense"):
        assert complaint in done.stderr, done.stderr
    assert broken.command("run", expect=78).stderr.count("nonsense") >= 1
    forging = tenant.another({"events.entities": {"public.tb_item": "_SlotStream"}})
    (problem,) = json.loads(forging.command("run", expect=78).stderr)["problems"]
    assert re.search(r'toml:\d+: events.entities = "public.tb_item": "_SlotStream"', problem), problem


def test_a_port_that_is_taken_stops_with_78(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    other = tenant.another({"http": {"listen": tenant.streamer.http}})
    done = other.command("run", expect=78)
    assert tenant.streamer.http in done.stderr
    tenant.commit(1)
    tenant.wait_stored(1)


def test_the_text_log_has_a_line_for_each_thing_with_its_fields(pair, tenants):
    tenant = tenants(pair, overrides={"log": {"format": "text", "level": "info"}})
    tenant.streamer.start()
    tenant.commit(1)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    lines = tenant.streamer.log.read_text().splitlines()
    # logfmt: nothing but key=value, the value in quotes where it has blanks.
    pair_of_logfmt = re.compile(r'([a-z_]+)=("(?:[^"\\]|\\.)*"|[^\s"=]+)(?: |$)')
    told = []
    for line in lines:
        found = pair_of_logfmt.findall(line)
        assert "".join(f"{key}={value} " for key, value in found) == line + " ", line
        told.append({key: json.loads(value) if value[0] == '"' else value for key, value in found})
        assert list(told[-1])[:3] == ["time", "level", "msg"] and len(told[-1]) == len(found), line
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", told[-1]["time"]), line
        assert told[-1]["level"] in ("info", "notice", "warning"), line
    messages = [entry["msg"] for entry in told]
    for message in ("starting", "connected to PostgreSQL", "connected to NATS", "streaming", "stopping: waiting for acks"):
        assert message in messages, messages
    streaming = next(entry for entry in told if entry["msg"] == "streaming")
    assert streaming["slot"] == tenant.name and re.fullmatch(r"[0-9A-F]+/[0-9A-F]+", streaming["start_lsn"])


def test_logs_are_structured_and_hold_nothing_per_row(pair, tenants):
    tenant = tenants(pair, overrides=PATIENT)
    tenant.streamer.start()
    tenant.commit_each(1, 10)
    tenant.wait_confirmed()
    before = len(tenant.streamer.log_entries())
    with tenant.connect() as connection:
        for number in range(11, 311):
            connection.execute("INSERT INTO tb_item VALUES (%s, 'private text')", (number,))
    tenant.wait_confirmed()
    assert len(tenant.streamer.log_entries()) - before < 10
    assert tenant.streamer.terminate() == 0
    text = tenant.streamer.log.read_text()
    assert "private text" not in text
    entries = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "level", "message"} <= entry.keys() for entry in entries)
    assert [entry["message"] for entry in entries if entry["message"] in ("starting", "streaming")] == ["starting", "streaming"]
    assert entries[-1]["message"].startswith("stopped")
