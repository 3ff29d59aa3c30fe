"""`deploy/monitoring`: alert rules that fire when they should and only then, each with a section of the runbook, and a dashboard whose
every panel shows something of a real streamer and a real observer worker."""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from answers import Plan
from backfilling import ask, runs
from hooks import Receiver
from orders import OrderStream
from servers.prometheus import prometheus
from servers.tools import CHECKOUT, free_port, installed, wait_until
from tenants import own, stopped, tenant_maker  # noqa: F401
from worker import QUICK_RETRY, Worker, observer, webhook

_MONITORING = CHECKOUT / "deploy" / "monitoring"
_DOCS = CHECKOUT / "deploy" / "docs"
_RULES = _MONITORING / "alerts.yml"
_POISON = "SELECT pg_logical_emit_message(true, 'fraiseql_events', 'no JSON')"
_RUNBOOK = "https://github.com/slotstream/slotstream/blob/main/deploy/docs/runbook.md#"
# Of a panel: what Grafana knows by these names.
_UNITS = {"none", "short", "s", "bytes", "binBps", "percentunit", "dateTimeAsIso"}
_METRIC = re.compile(r"\b(?:slotstream|fraiseql_observer|process)_[a-z_]+\b")


def _alerts() -> list[dict]:
    return [rule for group in yaml.safe_load(_RULES.read_text())["groups"] for rule in group["rules"]]


def _dashboard() -> dict:
    return json.loads((_MONITORING / "grafana.json").read_text())


def _panels() -> list[dict]:
    """Without the headings."""
    return [panel for panel in _dashboard()["panels"] if panel["type"] != "row"]


def _sections(page: str) -> set[str]:
    """The anchors of a page's headings, as a reader of Markdown makes them."""
    headings = re.findall(r"^#+ (.+)$", (_DOCS / page).read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9_ -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _promtool(*arguments) -> str:
    done = subprocess.run([installed("promtool"), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_alert_fires_and_does_not_fire_just_before():
    _promtool("check", "rules", _RULES)
    _promtool("test", "rules", _MONITORING / "alerts.test.yml")
    tried = {rule["alert"]: set() for rule in _alerts()}
    for test in yaml.safe_load((_MONITORING / "alerts.test.yml").read_text())["tests"]:
        (asked,) = test["promql_expr_test"]
        name = re.search(r'alertname="(\w+)"', asked["expr"])[1]
        assert test["name"].startswith(f"{name}: ")
        tried[name].add(bool(asked["exp_samples"]))
    assert tried == {name: {True, False} for name in tried}


@pytest.mark.parametrize("name", [rule["alert"] for rule in _alerts()])
def test_an_alert_says_what_happened_and_where_the_steps_are(name):
    (rule,) = [rule for rule in _alerts() if rule["alert"] == name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert said["runbook_url"].startswith(_RUNBOOK) and said["runbook_url"].removeprefix(_RUNBOOK) in _sections("runbook.md")
    # Each name in a template is one that the alert has.
    grouped = re.search(r"by \(([^)]*)\)", rule["expr"])
    has = {label.strip() for label in grouped[1].split(",")} if grouped else set()
    for template in re.findall(r"\{\{(.*?)\}\}", said["summary"] + said["description"]):
        label = re.fullmatch(r" \$labels\.(\w+) | \$value \| humanize(?:1024|Percentage|Duration|) ", template)
        assert label and (label[1] is None or label[1] in has), template


def test_the_page_tells_of_each_alert_and_how_prometheus_reads_them(folder):
    page = (_DOCS / "monitoring.md").read_text().split("\n## Alerts\n")[1].split("\n## ")[0]
    (folder / "prometheus.yml").write_text(re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1])
    shutil.copy(_RULES, folder)
    assert f"{len(_alerts())} rules found" in _promtool("check", "config", folder / "prometheus.yml")
    rows = re.findall(r"^\| `(Slotstream\w+)` \| (\w+) \|.*\]\(runbook\.md#([a-z-]+)\) \|$", page, re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"], rule["annotations"]["runbook_url"].removeprefix(_RUNBOOK)) for rule in _alerts()]


def test_the_dashboard_can_be_imported():
    dashboard = _dashboard()
    # Grafana's own types know each of its members.
    plugins.register_default_plugins()
    _require_kept(dashboard, json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard))))
    assert [variable["name"] for variable in dashboard["templating"]["list"]] == ["datasource", "job", "slot"]
    identities = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(identities)) == len(identities)
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    for panel in _panels():
        unit = panel["fieldConfig"]["defaults"]["unit"]
        assert unit in _UNITS or unit.startswith("suffix: "), panel["title"]
        assert panel["description"].endswith(".") and panel["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"] and '{job=~"$job", slot=~"$slot"}' in target["expr"], panel["title"]
        letters = [target["refId"] for target in panel["targets"]]
        assert letters == sorted(set(letters))


def _require_kept(ours, theirs, path: str = "dashboard") -> None:
    """Fails unless theirs has all of ours; they add what holds where nothing is said."""
    if isinstance(ours, dict):
        for name, value in ours.items():
            assert name in theirs, f"Grafana does not know {path}.{name}"
            _require_kept(value, theirs[name], f"{path}.{name}")
    elif isinstance(ours, list):
        assert len(ours) == len(theirs), path
        for number, (one, other) in enumerate(zip(ours, theirs)):
            _require_kept(one, other, f"{path}[{number}]")
    else:
        assert ours == theirs, path


@pytest.fixture
def receiver(folder):
    """One that refuses what goes to /refused."""
    made = Receiver(folder / "receiver", Plan({"/refused": ["400"]}))
    yield made
    made.close()


def test_each_panel_and_each_alert_reads_a_real_streamer(one_pair, own, receiver, report):
    tenant = own(one_pair, overrides={"replay": {"window": "2s"}, "events": {"on_poison": "stop"}})
    tenant.postgres.run("ALTER SYSTEM SET max_slot_wal_keep_size = '1GB'")
    tenant.postgres.run("SELECT pg_reload_conf()")
    # The panel of the last stop has one to show.
    tenant.streamer.start()
    tenant.run(_POISON)
    stopped(tenant.streamer, 65, "poison_event")
    tenant.wait_free()
    streamers = [tenant.another({"events": {"on_poison": "quarantine"}}) for _ in range(2)]
    for streamer in streamers:
        streamer.keep_other_times(watch=200)
        streamer.start()
    folder = tenant.servers.folder / "prometheus"
    observed = OrderStream(tenant.nats.url, tenant.name, tenant.prefix, tenant.nats.replicas)
    worker = Worker(tenant.servers.folder / f"{tenant.name}-worker", observed, {
        "made": observer(webhook(receiver.url()), entity="Item"),
        "refused": observer(webhook(receiver.url("/refused")), entity="Item", condition="n == 1", on_failure="alert"),
        # Nobody is there: after five failures nothing is sent, and the one event waits.
        "away": observer(webhook(f"http://127.0.0.1:{free_port()}/"), entity="Item", condition="n == 2", retry=QUICK_RETRY | {"max_attempts": 100})})
    tenant.streamers.append(worker)
    worker.start()
    with prometheus(folder, [streamer.http for streamer in streamers], _RULES, (worker.http,)) as server:
        server.wait_scraped(3)
        tenant.commit_each(1, 50)
        tenant.run(_POISON)
        tenant.wait_confirmed()
        # The panels of a backfill have one to show, which rests.
        told = runs(tenant, streamers[0])
        run = told.request("public.tb_item", options=("--rate", "1"))
        told.wait_read(1)
        ask(streamers[0], "--pause", str(run))
        told.wait_state(run, "paused")
        exported = {line.split()[2] for streamer in (*streamers, worker) for line in streamer.get("/metrics").splitlines() if line.startswith("# TYPE")}
        # What the manual says to ask and to alert on is understood, and asks for what there is.
        said = re.findall(r"`((?:slotstream|fraiseql)_[a-z_]+(?: [<>=*][^`]*)?)`", (_DOCS / "monitoring.md").read_text())
        assert len(said) > 45
        for expression in said:
            server.query(expression)
        # A histogram's series have names of their own.
        exported |= {f"{name}_bucket" for name in exported if name.endswith("_duration_seconds")}
        # Older servers are not asked for markers.
        known = exported | {"slotstream_stream_markers"}
        for expression in [rule["expr"] for rule in _alerts()] + [target["expr"] for panel in _panels() for target in panel["targets"]] + said:
            assert set(_METRIC.findall(expression)) <= known, expression
        shown = 0
        for panel in _panels():
            for target in panel["targets"]:
                _wait_shown(server, tenant, panel["title"], target["expr"], are_markers_counted=one_pair.nats != "2.9.10")
                shown += 1
        for variable in _dashboard()["templating"]["list"][1:]:
            metric, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"]).groups()
            assert server.query(_filled(f"count by ({label}) ({metric})"))
        wait_until(lambda: _state(server, "SlotstreamPoison") == "firing", 30, "the alert fires")
        rules = {rule["name"]: rule for rule in server.rules()}
        assert {name: rule["health"] for name, rule in rules.items()} == {name: "ok" for name in rules}, rules
        # The one dead letter of the worker was there before Prometheus, or came while it looked.
        of_the_worker = {"SlotstreamObserverDeadLetters", "SlotstreamObserverAlerts"}
        assert {name for name, rule in rules.items() if rule["state"] == "firing"} - of_the_worker == {"SlotstreamPoison"}
        for process in (*streamers, worker):
            process.kill()
        gone = ("SlotstreamGone", "SlotstreamAbsent", "SlotstreamObserverGone")
        wait_until(lambda: {_state(server, name) for name in gone} == {"pending"}, 60, "it is noticed")
        (alert,) = next(rule for rule in server.rules() if rule["name"] == "SlotstreamGone")["alerts"]
        assert alert["annotations"]["summary"] == f"No streamer runs for slot {tenant.name}"
    report(f"{one_pair}: {shown} queries of {len(_panels())} panels show a real streamer and a real worker, {len(rules)} alert rules are evaluated on it")


def _state(server, alert: str) -> str:
    return next(rule["state"] for rule in server.rules() if rule["name"] == alert)


def _filled(expression: str) -> str:
    """What Grafana asks when somebody has chosen everything."""
    return expression.replace("$__rate_interval", "10s").replace("$job", ".*").replace("$slot", ".*")


def _wait_shown(server, tenant, title: str, expression: str, are_markers_counted: bool) -> None:
    """Until the panel's query gives a number."""
    if "markers" in expression and not are_markers_counted:
        return

    def shows() -> bool:
        tenant.run("INSERT INTO tb_item SELECT coalesce(max(n), 0) + 1 FROM tb_item")
        return any(value == value for _, value in server.query(_filled(expression)))

    wait_until(shows, 60, f"{title}: {expression}", 0.2)
