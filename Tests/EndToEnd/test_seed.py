"""What FraiseQL's page prints works as printed: its consumer, and its configuration file.

seed/consumer.py and seed/fraiseql-observer.toml are the page's text; the page has lost its indentation and its blank
lines, the indentation is restored, nothing else is changed.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import stream
from deployment import demo_schema
from servers.namespace import NetworkNamespace
from servers.nats import Nats
from servers.postgres import Postgres
from servers.tools import free_port, slotstream_binary, wait_until
from streamer import Streamer

_SEED = Path(__file__).parent / "seed"


@pytest.fixture
def postgres(folder, pair) -> Iterator[Postgres]:
    """A server with the demo schema."""
    server = Postgres(pair.postgres, folder / "postgres")
    try:
        server.create()
        demo_schema(server)
        yield server
    finally:
        server.close()


def test_the_consumer_as_printed_receives_the_order_that_fn_create_order_made(pair, postgres, folder, report):
    log = folder / "consumer.log"
    with NetworkNamespace() as namespace:
        nats = Nats(pair.nats.removesuffix("-R3"), folder / "nats", port=4222, prefix=namespace.prefix)
        streamer = Streamer(folder / "streamer", postgres.socket_conninfo, "nats://localhost:4222",
                            prefix=namespace.prefix)
        consumer = None
        try:
            nats.start()
            streamer.start()
            with log.open("wb") as out:
                consumer = subprocess.Popen([*namespace.prefix, sys.executable, "-u", _SEED / "consumer.py"],
                                            stdout=out, stderr=out, stdin=subprocess.DEVNULL)
            orders = [postgres.value("SELECT (fn_create_order(ARRAY['sku-1', 'sku-2'], 'somewhere')).entity_id::text")
                      for _ in range(3)]
            expected = "".join(f"New order created: {order}\n" for order in orders)
            wait_until(lambda: log.read_text() == expected, 30, f"the consumer prints {expected!r}: {log}")
        finally:
            if consumer:
                consumer.kill()
                consumer.wait()
            streamer.close()
            nats.close()
    report(f"{pair}: the page's consumer as printed received the orders {', '.join(orders)}")


def test_the_configuration_file_as_printed_starts_a_streamer(pair, postgres, folder):
    nats = Nats(pair.nats.removesuffix("-R3"), folder / "nats")
    work = folder / "work"
    work.mkdir()
    shutil.copy(_SEED / "fraiseql-observer.toml", work)
    log = work / "slotstream.log"
    try:
        nats.start()
        environment = {"DATABASE_URL": postgres.conninfo, "NATS_URL": nats.url, "PATH": "/usr/bin:/bin",
                       "SLOTSTREAM_HTTP_LISTEN": f"127.0.0.1:{free_port()}"}
        with log.open("wb") as out:
            process = subprocess.Popen([slotstream_binary(), "run"], cwd=work, env=environment, stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL)
        try:
            slot = "SELECT active AND confirmed_flush_lsn IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'fraiseql_events'"

            def holds_slot() -> bool:
                assert process.poll() is None, log.read_text()
                return postgres.value(slot)

            wait_until(holds_slot, 30, f"the slot is held: {log}")
            order = postgres.value("SELECT (fn_create_order(ARRAY['sku-1'], 'somewhere')).entity_id::text")
            event = wait_until(lambda: next(stream.read(nats.url), None), 30, "the order's event is stored")
            assert event.subject == "fraiseql.mutation.Order.INSERT"
            assert event.json["entity_id"] == order
            config, consumer = asyncio.run(_made(nats.url))
            assert config.duplicate_window == 300
            assert config.max_age == 7 * 86400
            assert config.max_bytes == 10_737_418_240
            assert (consumer.ack_wait, consumer.max_deliver) == (30, 3)
        finally:
            process.terminate()
            assert process.wait(timeout=80) == 0, log.read_text()
    finally:
        nats.close()


async def _made(url: str):
    """The stream's configuration and its consumer's."""
    connection = await stream.connect(url)
    try:
        context = connection.jetstream()
        consumer = await context.consumer_info("fraiseql_events", "fraiseql_observer_worker")
        return (await context.stream_info("fraiseql_events")).config, consumer.config
    finally:
        await connection.close()
