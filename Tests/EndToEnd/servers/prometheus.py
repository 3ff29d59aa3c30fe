"""A Prometheus that scrapes what it is told to."""

import json
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .tools import dying_with_us, free_port, installed, wait_until


class Prometheus:
    """One that runs."""

    def __init__(self, port: int, log: Path):
        self._url = f"http://127.0.0.1:{port}/api/v1"
        self._log = log

    def _ask(self, path: str) -> dict:
        with urllib.request.urlopen(f"{self._url}{path}", timeout=10) as answer:
            return json.loads(answer.read())["data"]

    def targets(self) -> list[dict]:
        """What it scrapes, and how that goes; empty until it answers."""
        try:
            return self._ask("/targets")["activeTargets"]
        except OSError:
            return []

    def wait_scraped(self, count: int) -> None:
        """Until it has scraped that many addresses without an error."""
        wait_until(lambda: [target["health"] for target in self.targets()] == ["up"] * count, 30, f"{count} are scraped: {self._log}")

    def query(self, expression: str) -> list[tuple[dict, float]]:
        """The labels and values of an expression now."""
        said = self._ask(f"/query?query={urllib.parse.quote(expression)}")
        return [(found["metric"], float(found["value"][1])) for found in said["result"]]

    def wait_for(self, expression: str) -> list[tuple[dict, float]]:
        """The same, as soon as there is something."""
        wait_until(lambda: self.query(expression), 30, f"{expression}: {self._log}")
        return self.query(expression)

    def rules(self) -> list[dict]:
        """Its rules, each with `health`, `lastError`, `state` and `alerts`."""
        return [rule for group in self._ask("/rules")["groups"] for rule in group["rules"]]


@contextmanager
def prometheus(folder: Path, addresses: list[str], rules: Path | None = None, workers: tuple[str, ...] = ()) -> Iterator[Prometheus]:
    """One that scrapes these addresses every second, with its data in `folder`; `rules`: a file that it evaluates as often; `workers`:
    addresses of observer workers, which have a job of their own."""
    jobs = {"slotstream": addresses, "slotstream-observer": list(workers)}
    port = free_port()
    folder.mkdir()
    configuration = folder / "prometheus.yml"
    configuration.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)] if rules else [],
        "scrape_configs": [{"job_name": name, "static_configs": [{"targets": targets}]} for name, targets in jobs.items() if targets]}))
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*dying_with_us(), installed("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    try:
        yield Prometheus(port, log)
    finally:
        process.terminate()
        process.wait(timeout=30)
