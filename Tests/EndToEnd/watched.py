"""What is watched beside the streamer's own work: series of its metrics, consumers of its stream."""

import asyncio
import re

import stream
from administrator import Administrator
from servers.nats import Nats
from streamer import Streamer


def value(streamer: Streamer, series: str) -> float | None:
    """The value of the series with exactly these labels, sorted; None where there is none."""
    found = re.search(rf"^{re.escape(series)} (\S+)$", streamer.get("/metrics"), re.MULTILINE)
    return float(found[1]) if found else None


def acknowledge(nats: Nats, stream_name: str, consumer: str, count: int, are_acknowledged: bool = True) -> None:
    """A client takes so many messages of a durable consumer, and acknowledges them."""
    async def read() -> None:
        connection = await stream.connect(nats.url)
        try:
            subscription = await connection.jetstream().pull_subscribe_bind(consumer, stream=stream_name)
            taken = 0
            while taken < count:
                for message in await subscription.fetch(count - taken, timeout=10):
                    taken += 1
                    if are_acknowledged:
                        await message.ack_sync()
        finally:
            await connection.close()

    asyncio.run(read())


def add_consumer(nats: Nats, stream_name: str, name: str, **config) -> None:
    """Makes a durable pull consumer that delivers all and wants each message acknowledged, unless `config` says otherwise."""
    Administrator(nats.url).api(f"CONSUMER.DURABLE.CREATE.{stream_name}.{name}", stream_name=stream_name,
                                config={"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all"} | config)
