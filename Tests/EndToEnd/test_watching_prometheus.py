"""A real Prometheus reads `/metrics`, and has nothing against it."""

import json
import re
import subprocess
import urllib.parse
import urllib.request
from contextlib import contextmanager
from pathlib import Path

from servers.tools import CHECKOUT, free_port, installed, wait_until
from tenants import tenant_maker, tenants  # noqa: F401


class _Prometheus:
    """A Prometheus that scrapes these addresses."""

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

    def query(self, expression: str) -> list[tuple[dict, float]]:
        """The labels and values of an expression now."""
        said = self._ask(f"/query?query={urllib.parse.quote(expression)}")
        return [(found["metric"], float(found["value"][1])) for found in said["result"]]

    def wait_for(self, expression: str) -> list[tuple[dict, float]]:
        """The same, as soon as there is something."""
        wait_until(lambda: self.query(expression), 30, f"{expression}: {self._log}")
        return self.query(expression)


@contextmanager
def _prometheus(folder: Path, addresses: list[str]):
    port = free_port()
    folder.mkdir()
    configuration = folder / "prometheus.yml"
    configuration.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "slotstream", "static_configs": [{"targets": addresses}]}]}))
    log = folder / "prometheus.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [installed("prometheus"), f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}",
             f"--web.listen-address=127.0.0.1:{port}"], stdout=output, stderr=output)
    try:
        yield _Prometheus(port, log)
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_prometheus_reads_a_streamer_and_its_standby(pair, tenants):
    tenant = tenants(pair)
    holder, standby = tenant.streamer, tenant.another()
    for streamer in (holder, standby):
        streamer.keep_other_times(watch=200)
        streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    with _prometheus(tenant.servers.folder / f"{tenant.name}-prometheus", [holder.http, standby.http]) as prometheus:
        wait_until(lambda: [target["health"] for target in prometheus.targets()] == ["up", "up"], 30, "both are scraped")
        assert [target["lastError"] for target in prometheus.targets()] == ["", ""]
        # It has each sample that is exported, and made nothing of its own of them.
        exported = [line for line in holder.get("/metrics").splitlines() if not line.startswith("#")]
        (_, scraped), = prometheus.wait_for(f'scrape_samples_scraped{{instance="{holder.http}"}} > 0')
        (_, kept), = prometheus.query(f'scrape_samples_post_metric_relabeling{{instance="{holder.http}"}}')
        assert scraped == kept and abs(scraped - len(exported)) < 10, (scraped, kept, len(exported))
        # What an operator asks.
        (labels, messages), = prometheus.wait_for(
            "slotstream_stream_messages * on (instance) group_left (slot, stream, database) slotstream_info == 5")
        assert messages == 5 and (labels["stream"], labels["database"]) == (tenant.name, tenant.name)
        roles = dict((labels["instance"], labels["role"]) for labels, _ in prometheus.wait_for("slotstream_role == 1"))
        assert roles == {holder.http: "active", standby.http: "standby"}
        assert prometheus.query("sum by (consumer) (slotstream_consumer_pending)") == [({"consumer": "fraiseql_observer_worker"}, 5)]
        quantile = "histogram_quantile(0.99, sum by (le) (fraiseql_observer_processing_duration_seconds_bucket))"
        (_, seconds), = prometheus.query(quantile)
        assert 0 < seconds < 3600
        assert prometheus.query("process_resident_memory_bytes > 1e6") and prometheus.query("slotstream_build_info")
        # What the manual says to ask and to alert on is understood, and asks for what there is.
        page = (CHECKOUT / "deploy" / "docs" / "monitoring.md").read_text()
        expressions = re.findall(r"`([a-z_]+(?:_[a-z]+)+ [<>=*][^`]*|(?:slotstream|fraiseql)_[a-z_]+)`", page)
        assert len(expressions) > 30
        # Older servers are not asked for markers, and nobody has stopped here.
        known = {line.split()[2] for line in holder.get("/metrics").splitlines() if line.startswith("# TYPE")} 
        known |= {"slotstream_stream_markers", "slotstream_last_stop_timestamp_seconds"}
        for expression in expressions:
            prometheus.query(expression)
            assert set(re.findall(r"\b(?:slotstream|fraiseql)_[a-z_]+", expression)) <= known, expression


def test_promtool_finds_nothing_in_any_state(pair, tenants):
    tenant = tenants(pair)
    holder, standby = tenant.streamer, tenant.another()
    for streamer in (holder, standby):
        streamer.keep_other_times(watch=200)
        streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    wait_until(lambda: "slotstream_stream_messages 3" in holder.get("/metrics"), 20, "it has looked at the stream")
    tenant.nats.pause()
    texts = [holder.get("/metrics"), standby.get("/metrics")]
    tenant.nats.kill()
    wait_until(lambda: holder.metric('slotstream_connected{peer="nats"}') == 0, 30, "it has lost NATS")
    texts.append(holder.get("/metrics"))
    for text in texts:
        done = subprocess.run([installed("promtool"), "check", "metrics"], input=text, text=True, capture_output=True, timeout=60)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done
