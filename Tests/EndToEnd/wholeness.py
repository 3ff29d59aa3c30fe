"""A reader that looks at the stream's end all the time: does it ever stand in the middle of a transaction?"""

import asyncio
import json
import threading
from contextlib import suppress

import stream


class EndWatcher:
    """Within a `with`, asks the stream's leader for the last message as often as it answers. `samples`: how often it was another
    one than before; `torn`: those that were not their transaction's last."""

    def __init__(self, url: str, name: str = "fraiseql_events"):
        self._url = url
        self._name = name
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), name="end watcher", daemon=True)
        self.samples = 0
        self.torn: list[str] = []

    def __enter__(self) -> "EndWatcher":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "the watcher does not end"

    async def _watch(self) -> None:
        before = None
        while not self._stop.is_set():
            try:
                connection = await stream.connect(self._url, patient=False)
            except Exception:  # noqa: BLE001 - servers are killed and cut off on purpose
                await asyncio.sleep(0.1)
                continue
            try:
                while not self._stop.is_set():
                    last = await stream.last_message(connection, self._name)
                    if last and last[0] != before:
                        before = last[0]
                        self.samples += 1
                        if not json.loads(last[1])["transaction"]["last"]:
                            self.torn.append(last[0])
            except Exception:  # noqa: BLE001 - see above
                await asyncio.sleep(0.1)
            finally:
                with suppress(Exception):
                    await connection.close()

    def require_whole(self, least: int = 100) -> int:
        """Fails if a transaction was ever seen in part, or if hardly anything was seen; returns the number of samples."""
        assert self.samples >= least, f"the stream's end was seen {self.samples} times only"
        assert not self.torn, f"of {self.samples} looks at the stream's end {len(self.torn)} were inside a transaction: {self.torn[:5]}"
        return self.samples
