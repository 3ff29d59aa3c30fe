"""External consumer for FraiseQL NATS events.
This is NOT part of the FraiseQL Python SDK.
It is a separate service that subscribes to FraiseQL NATS events
using the standard nats-py library.
"""
import asyncio
import json
import nats # pip install nats-py — NOT fraiseql
NATS_URL = "nats://localhost:4222"
STREAM = "fraiseql_events"
SUBJECT = "fraiseql.mutation.Order.INSERT"
async def handle_order_created(msg):
    """Handle new order events from FraiseQL mutations."""
    event = json.loads(msg.data.decode())
    order_id = event["entity_id"]
    order_data = event.get("entity", {})
    print(f"New order created: {order_id}")
    # ... send confirmation email, update analytics, etc.
    await msg.ack() # Acknowledge after successful processing
async def main():
    nc = await nats.connect(NATS_URL)
    js = nc.jetstream()
    # Subscribe to FraiseQL Order INSERT events
    sub = await js.subscribe(
        SUBJECT,
        durable="email-service-order-handler", # Durable = survives restart
        stream=STREAM,
    )
    async for msg in sub.messages:
        try:
            await handle_order_created(msg)
        except Exception as exc:
            print(f"Processing failed: {exc}")
            await msg.nak() # Re-deliver after ack_wait_secs
if __name__ == "__main__":
    asyncio.run(main())
