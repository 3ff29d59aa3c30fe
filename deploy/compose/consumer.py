"""Prints each order event once, in commit order: a consumer of stream `shop`, with nats-py.

JetStream delivers at least once. So the consumer remembers the ids that it has handled, and skips them. This one remembers in memory;
yours writes the id in the transaction that handles the event.
"""

import asyncio
import json
import os
import signal
from pathlib import Path

import nats


async def handle(event: dict) -> None:
    """What is to be done for an event."""
    print(event["operation"], event["entity_type"], event.get("entity_id"), event.get("entity", {}).get("status", ""))


async def main() -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    connection = await nats.connect(
        os.environ["NATS_URL"], user=os.environ["NATS_USER"], password=Path(os.environ["NATS_PASSWORD_FILE"]).read_text().strip(),
        max_reconnect_attempts=-1)
    subscription = await connection.jetstream().pull_subscribe_bind("worker", stream="shop")
    print("reading stream shop as worker")
    handled: set[str] = set()
    while not stopping.is_set():
        try:
            messages = await subscription.fetch(100, timeout=1)
        # nats-py's own is one of these; a late answer raises the other.
        except asyncio.TimeoutError:
            continue
        for message in messages:
            identifier = message.headers["Nats-Msg-Id"]
            if identifier not in handled:
                await handle(json.loads(message.data))
                handled.add(identifier)
            await message.ack()
    await connection.close()


asyncio.run(main())
