"""Headless Chromium, over a pipe in its DevTools protocol: what a person would see, and what the browser complains of."""

import base64
import fcntl
import json
import os
import subprocess
import time
from pathlib import Path

from servers.tools import installed, wait_until

_SECONDS = 30
# Width and height of a window on a desk, and of a phone held upright.
DESKTOP, PHONE = (1280, 900), (390, 844)


class Page:
    """A page of the browser: its address, its size, its colours."""

    def __init__(self, browser: "Browser", session: str):
        self._browser = browser
        self._session = session

    def call(self, method: str, **parameters) -> dict:
        """A command of the protocol."""
        return self._browser.call(method, self._session, **parameters)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression."""
        said = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def text(self, identifier: str) -> str:
        """What an element shows."""
        return self.evaluate(f"document.getElementById({json.dumps(identifier)}).innerText")

    def wait_for(self, expression: str, what: str) -> None:
        """Until a JavaScript expression is true."""
        wait_until(lambda: self.evaluate(expression), _SECONDS, what)

    def screenshot(self, file: Path) -> None:
        """Writes what the window shows as a PNG."""
        said = self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(said["data"]))

    def events(self, method: str) -> list[dict]:
        """What the browser told of it under this name."""
        # It has told all that came before the answer to a question.
        self.evaluate("1")
        return [event["params"] for event in self._browser.events if (event["method"], event.get("sessionId")) == (method, self._session)]

    def complaints(self) -> list[str]:
        """Errors and warnings of the browser's: scripts that failed, what the page's policy forbids, answers that are no success."""
        said = [event["entry"]["text"] for event in self.events("Log.entryAdded") if event["entry"]["level"] in ("error", "warning")]
        said += [event["exceptionDetails"]["text"] for event in self.events("Runtime.exceptionThrown")]
        return said + [str(event["args"]) for event in self.events("Runtime.consoleAPICalled")]

    def requests(self) -> list[tuple[str, str]]:
        """Method and address of all that it asked for, but what the page holds itself."""
        asked = [event["request"] for event in self.events("Network.requestWillBeSent")]
        return [(request["method"], request["url"]) for request in asked if not request["url"].startswith("data:")]


class Browser:
    """One Chromium; `with` ends it."""

    def __init__(self, folder: Path):
        program = installed("chromium", "`apt-get install chromium`, or run deploy/test --all once, it installs it")
        # The browser reads commands at descriptor 3 and answers at 4.
        command_end, self._commands = os.pipe()
        self._answers, answer_end = os.pipe()
        ends = [fcntl.fcntl(end, fcntl.F_DUPFD, 100) for end in (command_end, answer_end)]
        os.close(command_end)
        os.close(answer_end)
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$@" 3<&{ends[0]} 4>&{ends[1]}', "bash", str(program), "--headless=new", "--remote-debugging-pipe",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", f"--user-data-dir={folder}", "about:blank"],
            pass_fds=ends, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for end in ends:
            os.close(end)
        os.set_blocking(self._answers, False)
        self._buffer = b""
        self._number = 0
        self.events: list[dict] = []

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_error) -> None:
        self._process.terminate()
        self._process.wait(timeout=_SECONDS)
        os.close(self._commands)
        os.close(self._answers)

    def call(self, method: str, session: str | None = None, **parameters) -> dict:
        """A command of the protocol; raises what the browser refuses."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        os.write(self._commands, json.dumps(command).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS
        while True:
            message = self._read(deadline, method)
            if message.get("id") == self._number:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def _read(self, deadline: float, method: str) -> dict:
        while b"\0" not in self._buffer:
            assert time.monotonic() < deadline, f"{method}: no answer"
            assert self._process.poll() is None, f"chromium ended with {self._process.returncode}"
            try:
                self._buffer += os.read(self._answers, 1 << 20)
            except BlockingIOError:
                time.sleep(0.005)
        message, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(message)

    def page(self, url: str, width: int, height: int, is_dark: bool = False, is_phone: bool = False) -> Page:
        """Opens a page of that size, in light or dark colours."""
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        page = Page(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            page.call(f"{domain}.enable")
        page.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone)
        colours = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        page.call("Emulation.setEmulatedMedia", features=[colours])
        page.call("Page.navigate", url=url)
        return page
