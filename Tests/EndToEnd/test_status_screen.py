"""`status`: the screen, what it says of consumers and room, and what it looks like again and again."""

import asyncio
import json
import re
import signal
import subprocess

import stream
from servers.tools import wait_until
from tenants import streamed, tenant_maker, tenants  # noqa: F401
from terminal import Terminal, interrupted

_CONSUMER = "fraiseql_observer_worker"


def _status(streamer, expect: int = 0) -> dict:
    return json.loads(streamer.command("status", "--json", expect=expect).stdout)


def _consume(tenant, count: int) -> None:
    """The durable consumer takes and acknowledges so many."""

    async def consume() -> None:
        connection = await stream.connect(tenant.nats.url)
        try:
            subscription = await connection.jetstream().pull_subscribe_bind(_CONSUMER, tenant.name)
            for message in await subscription.fetch(count, timeout=10):
                await message.ack_sync()
        finally:
            await connection.close()

    asyncio.run(consume())


def test_status_tells_how_far_behind_each_consumer_is(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{tenant.name}.slow", stream_name=tenant.name, config={
        "durable_name": "slow", "ack_policy": "explicit", "deliver_policy": "all"})
    (first, second) = _status(tenant.streamer)["consumers"]
    assert (first["name"], second["name"]) == (_CONSUMER, "slow"), "the configured one is first"
    assert (first["pending"], first["delivered"]) == (3, 0)
    assert f"{_CONSUMER} 3 behind, never read" in tenant.streamer.command("status").stdout
    _consume(tenant, 2)
    first, second = _status(tenant.streamer)["consumers"]
    assert (first["pending"], first["delivered"], first["ack_floor"]) == (1, 2, 2) and second["pending"] == 3
    # On the screen the one that is furthest behind is.
    assert f"slow 3 behind, never read · {_CONSUMER} 1 behind" in tenant.streamer.command("status").stdout


def test_status_tells_limits_and_who_answered(pair, tenants):
    tenant = tenants(pair)
    streamed(tenant)
    said = _status(tenant.streamer, 1)
    assert said["source"]["wal_limit_bytes"] == -1
    assert said["source"]["server_version"].startswith(f"{pair.postgres}.")
    assert said["stream"]["max_bytes"] == 2**28 and said["stream"]["first_time"] < said["stream"]["last_time"] <= said["at"]
    assert "limit none (max_slot_wal_keep_size = -1)" in tenant.streamer.command("status", expect=1).stdout
    tenant.postgres.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
    tenant.postgres.run("SELECT pg_reload_conf()")
    try:
        wait_until(lambda: _status(tenant.streamer, 1)["source"]["wal_limit_bytes"] == 2**30, 20, "the limit is told")
        assert "limit 1.0 GiB" in tenant.streamer.command("status", expect=1).stdout
    finally:
        tenant.postgres.run("ALTER SYSTEM RESET max_slot_wal_keep_size")
        tenant.postgres.run("SELECT pg_reload_conf()")


def test_status_says_what_to_type(pair, tenants):
    tenant = tenants(pair, setup=False)
    assert any("`slotstream run`" in step for step in _status(tenant.streamer, 1)["next"])
    tenant.streamer.setup()
    streamed(tenant)
    assert _status(tenant.streamer, 1)["next"] == ["Start the streamer: `slotstream run`"]
    text = tenant.streamer.command("status", expect=1).stdout
    assert re.search(r"^● STOPPED$", text, re.MULTILINE) and "  next:  Start the streamer: `slotstream run`\n" in text
    tenant.streamer.start()
    assert "next" not in _status(tenant.streamer)
    tenant.nats.kill()
    said = _status(tenant.streamer, 69)
    assert any("nats" in step for step in said["next"]), said
    assert "● UNREACHABLE" in tenant.streamer.command("status", expect=69).stdout


def test_status_has_the_streamers_rates(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    tenant.commit_each(1, 20)
    tenant.wait_stored(20)

    def rates() -> dict:
        return _status(tenant.streamer).get("rates", {})

    # PostgreSQL is looked at every five seconds.
    wait_until(lambda: rates().get("events_per_second", 0) > 0 and rates()["wal_bytes_per_second"] > 0, 30, "rates are told")
    assert " events/s, " in tenant.streamer.command("status").stdout


def test_watching_in_a_terminal_draws_over_what_stood_there_and_ends_with_ctrl_c(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    with Terminal(tenant.streamer, "status", "--watch") as terminal:
        terminal.wait_for(r"\x1b\[H\x1b\[2J")
        terminal.wait_for(r"\x1b\[J.*\x1b\[H(?!\x1b\[2J)(.|\n)* events/s(.|\n)*\x1b\[J")
        terminal.type("\x03")
        assert terminal.end() == 0
    assert "STREAMING" in terminal.text


def test_watching_on_a_pipe_is_a_block_an_interval(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    process = subprocess.Popen([str(tenant.streamer.binary), "status", "--watch", "--config", str(tenant.streamer.config)],
                               env=tenant.streamer.environment, stdout=subprocess.PIPE, text=True)
    try:
        lines = []
        while sum(line.startswith("slotstream ") for line in lines) < 3:
            line = process.stdout.readline()
            assert line, "it goes on until it is interrupted"
            lines.append(line)
        assert interrupted(process) == 0
    finally:
        process.kill()
        process.wait()
    text = "".join(lines)
    assert "\x1b" not in text
    blocks = text.split("\n\n")
    assert len(blocks) == 3 and all(block.startswith("slotstream ") for block in blocks)
    assert " events/s, " in blocks[1], "rates since the reading before"


def test_watching_as_json_is_an_object_a_line(one_pair, tenants):
    tenant = tenants(one_pair)
    process = subprocess.Popen([str(tenant.streamer.binary), "status", "--watch", "--json", "--config", str(tenant.streamer.config)],
                               env=tenant.streamer.environment, stdout=subprocess.PIPE, text=True)
    try:
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
    assert first["schema"] == second["schema"] == "slotstream.status/1" and first["at"] < second["at"]
    assert "events_per_second" in second["rates"]
