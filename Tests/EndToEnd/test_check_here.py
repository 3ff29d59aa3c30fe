"""`slotstream check` of this machine, and how the command itself behaves: exit codes, options, screens, servers that are away."""

import json
import re
import time
from pathlib import Path

import psycopg
import pytest

from doctor import Person, findings, found
from servers.tools import free_port
from tenants import tenant_maker, tenants  # noqa: F401
from terminal import Terminal
from test_rules_permissions import as_role


def _mended(tenant, identifier: str, about: str = "") -> dict:
    """It is found; what is printed is carried out; it is found no more. Returns the finding."""
    told = found(tenant.streamer, identifier, about)
    assert told, findings(tenant.streamer)
    for each in told:
        Person(tenant).carry_out(each["fix"])
    assert not found(tenant.streamer, identifier, about)
    return told[0]


def test_http_listens_on_the_loopback_of_a_pod(one_pair, tenants):
    tenant = tenants(one_pair)
    assert not found(tenant.streamer, "W040")
    tenant.streamer.environment["KUBERNETES_SERVICE_HOST"] = "10.0.0.1"
    _mended(tenant, "W040", "127.0.0.1")


def test_a_secret_is_open_to_others(one_pair, tenants):
    file = Path("/tmp") / f"slotstream-test-{free_port()}"
    tenant = tenants(one_pair)
    try:
        file.write_text(tenant.conninfo)
        file.chmod(0o644)
        text = tenant.streamer.config.read_text()
        tenant.streamer.config.write_text(re.sub(r'^"url" = "host=.*$', f'"url_file" = "{file}"', text, count=1, flags=re.MULTILINE))
        _mended(tenant, "W041", str(file))
    finally:
        file.unlink()


def test_the_process_may_have_few_files_open(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.prefix = ["prlimit", "--nofile=64:4096"]
    _mended(tenant, "W062", "open files")


def test_the_configuration_is_wrong(one_pair, tenants):
    tenant = tenants(one_pair)
    right = tenant.streamer.config.read_text()
    tenant.streamer.config.write_text(right.replace('"level" = "debug"', '"levle" = "debug"\n"format" = "loud"', 1).replace('"format" = "json"\n', "", 1))
    told = found(tenant.streamer, "E060")
    assert len(told) == 2 and any("did you mean log.level?" in each["message"] for each in told)
    assert tenant.streamer.command("check", expect=1)
    tenant.streamer.config.write_text(right)
    assert not found(tenant.streamer, "E060")


@pytest.mark.parametrize("rule", [
    {"events.identity": {"public.tb_itme": ["n"]}}, {"events.entities": {"public.tb_itme": "Thing"}},
    {"events.columns.exclude": {"public.tb_item": ["nope"]}}, {"events": {"subject": "{prefix}.{entity}.{operation}.{column:nope}"}},
], ids=lambda rule: next(iter(rule)))
def test_a_rule_names_what_is_not_there(rule, one_pair, tenants):
    tenant = tenants(one_pair)
    streamer = tenant.another(rule)
    (told,) = found(streamer, "W042")
    assert "tb_itme" in told["message"] or "nope" in told["message"]
    # As it says: the name is corrected.
    text = streamer.config.read_text().replace("tb_itme", "tb_item").replace("nope", "note")
    streamer.config.write_text(text)
    assert not found(streamer, "W042")


# The command.

def _clean(tenants, pair):
    """A set-up by the manual: a role of sql/role.sql, a user of its own in NATS, limits that production has."""
    secret = "s3cret-Pa55word"
    tenant = tenants(pair, setup=False, nats_lines=(
        "accounts {", "  SHOP { jetstream: enabled, users: [", f"    {{ user: whole, password: \"{secret}\" }}, {{ user: admin, password: admin,",
        '      permissions: { publish: { deny: ["rules.>", "$JS.API.STREAM.MSG.DELETE.>"] } } } ] }', "}", "no_auth_user: admin"))
    with tenant.connect() as connection:
        connection.execute(f"REVOKE EXECUTE ON FUNCTION {_EMITTER[pair.postgres]} FROM PUBLIC")
    tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE tb_item")
    password = tenant.servers.folder / f"{tenant.name}-nats"
    password.write_text(secret)
    password.chmod(0o600)
    tenant.overrides["transport.nats"] |= {"user": "whole", "password_file": str(password), "consumer_name": ""}
    streamer = as_role(tenant, "REPLICATION")
    streamer.config.chmod(0o600)
    return tenant, streamer


_EMITTER_WITHOUT_FLUSH = "pg_logical_emit_message(boolean, text, text), pg_logical_emit_message(boolean, text, bytea)"
_EMITTER = {"15": _EMITTER_WITHOUT_FLUSH, "16": _EMITTER_WITHOUT_FLUSH,
            "18": "pg_logical_emit_message(boolean, text, text, boolean), pg_logical_emit_message(boolean, text, bytea, boolean)"}


def test_a_clean_set_up_has_no_finding(pair, tenant_maker, tenants):
    tenant, streamer = _clean(tenants, pair)
    tenant.run("ALTER SYSTEM SET max_slot_wal_keep_size = '10GB'")
    tenant.run("SELECT pg_reload_conf()")
    try:
        assert streamer.command("check", "--strict", "--before-start").stdout.splitlines()[-1] == "no findings"
        streamer.setup()
        streamer.start()
        tenant.commit(1)
        tenant.wait_stored(1)
        began = time.monotonic()
        done = streamer.command("check", "--strict")
        assert time.monotonic() - began < 15
        assert done.stdout.splitlines()[-1] == "no findings" and done.stderr == ""
        assert all(line.endswith(" ok") and len(line) <= 80 for line in done.stdout.splitlines()[:-1])
        assert streamer.command("check", "--fix-sql").stdout == ""
        assert json.loads(streamer.command("check", "--json").stdout) == {"schema": "slotstream.check/1", "findings": []}
        assert streamer.terminate() == 0
    finally:
        tenant.run("ALTER SYSTEM RESET ALL")
        tenant.run("SELECT pg_reload_conf()")


def test_the_screen_the_script_and_the_exit_codes(one_pair, tenants):
    tenant = tenants(one_pair)
    # Warnings only: W035, W050 and the like.
    assert tenant.streamer.command("check", expect=0)
    assert tenant.streamer.command("check", "--strict", expect=1)
    tenant.run(f"CREATE TABLE tb_log (note TEXT); ALTER PUBLICATION {tenant.name} ADD TABLE tb_log")
    screen = tenant.streamer.command("check", expect=1).stdout
    assert "  E012 public.tb_log has no replica identity" in screen
    assert "       fix:  ALTER TABLE public.tb_log REPLICA IDENTITY FULL;\n" in screen
    assert re.search(r"^Tables +2 published by \S+ .* 1 error", screen, re.MULTILINE)
    assert re.search(r"^1 error, \d+ warnings\.   slotstream check --fix-sql \| psql " + tenant.name, screen, re.MULTILINE)
    assert all(len(line) <= 80 for line in screen.splitlines() if "fix:" not in line and not line.startswith("1 error,")), screen
    script = tenant.streamer.command("check", "--fix-sql", expect=1).stdout
    assert "\nALTER TABLE public.tb_log REPLICA IDENTITY FULL;\n" in f"\n{script}"
    # What may be somebody else's is left to a person.
    assert "-- by hand: REVOKE EXECUTE" in script and "\nREVOKE" not in script
    assert "-- by hand: ALTER ROLE \"foreigner\" NOSUPERUSER" in script and "\nALTER ROLE" not in script
    try:
        Person(tenant).psql(script)
        tenant.streamer.command("check", expect=0)
    finally:
        tenant.run("ALTER SYSTEM RESET ALL")
        tenant.run("SELECT pg_reload_conf()")


def test_in_a_terminal_of_80_columns(one_pair, tenants):
    tenant = tenants(one_pair)
    with Terminal(tenant.streamer, "check") as terminal:
        assert terminal.end() == 0
    lines = terminal.text.replace("\r", "").splitlines()
    assert lines == tenant.streamer.command("check").stdout.splitlines(), "the same as on a pipe"
    # What is pasted is never wrapped; all else fits.
    assert [line for line in lines if len(line) > 80 and "fix:" not in line] == []


@pytest.mark.parametrize("away", ["postgres", "nats", "both"])
def test_a_server_does_not_answer(away, one_pair, tenants):
    tenant = tenants(one_pair)
    nowhere = free_port()
    streamer = tenant.another({"transport.nats": {"url": f"nats://127.0.0.1:{nowhere}"}} if away != "postgres" else None,
                              conninfo=tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={nowhere}") if away != "nats" else None)
    done = streamer.command("check", "--json", expect=69)
    said = json.loads(done.stdout)
    assert len(said["failures"]) == (2 if away == "both" else 1)
    found_ids = {each["id"] for each in said["findings"]}
    # The findings of the other one are there all the same.
    assert ("W035" in found_ids) == (away == "nats") and ("W031" in found_ids) == (away == "postgres")
    assert "[unreachable]" in done.stderr


@pytest.mark.parametrize("arguments", [["--json", "--fix-sql"], ["--wrong"], ["word"]])
def test_wrong_arguments_are_refused(arguments, one_pair, tenants):
    tenant = tenants(one_pair, setup=False)
    assert tenant.streamer.command("check", *arguments, expect=64).stderr


def test_nothing_is_changed(one_pair, tenants):
    """The commands that it sends to PostgreSQL are read only, and nothing is stored in NATS."""
    tenant = tenants(one_pair)
    slots = "SELECT array_agg((slot_name, confirmed_flush_lsn)::text) FROM pg_replication_slots"
    xid = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text"
    before = (tenant.administrator.names(), tenant.administrator.state(tenant.name), tenant.value(slots), tenant.value(xid))
    tenant.streamer.command("check")
    tenant.streamer.command("check", "--json")
    after = (tenant.administrator.names(), tenant.administrator.state(tenant.name), tenant.value(slots), tenant.value(xid))
    assert after == before


def test_a_frozen_server_is_not_waited_for(one_pair, tenants):
    tenant = tenants(one_pair)
    with tenant.postgres.paused():
        began = time.monotonic()
        done = tenant.streamer.command("check", expect=69)
        assert time.monotonic() - began < 25 and "[unreachable]" in done.stderr
    with pytest.raises(psycopg.Error), tenant.connect() as connection:
        # A lock on a table holds nothing up.
        connection.execute("BEGIN; LOCK TABLE tb_item IN ACCESS EXCLUSIVE MODE")
        assert not [each for each in findings(tenant.streamer) if each["severity"] == "error"]
        connection.execute("raise")
