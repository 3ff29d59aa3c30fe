"""deploy/docs/backfill.md: its lines of Python find a digest that is wrong, its bodies of markers have the members that real ones have."""

import json
import re

import pytest

import stream
from administrator import Administrator
from backfilling import Runs, ask
from servers.tools import CHECKOUT
from test_events_formats import validate

_PAGE = (CHECKOUT / "deploy" / "docs" / "backfill.md").read_text()
_ROWS = 3_000


def _tables(postgres) -> None:
    postgres.run("CREATE TABLE tb_log (line TEXT); ALTER TABLE tb_log REPLICA IDENTITY FULL; INSERT INTO tb_log VALUES ('a'), ('a'); "
                 "CREATE TABLE tb_part (id INT PRIMARY KEY) PARTITION BY RANGE (id); "
                 "CREATE TABLE tb_part_1 PARTITION OF tb_part FOR VALUES FROM (0) TO (10); INSERT INTO tb_part SELECT generate_series(1, 9); "
                 f"CREATE TABLE tb_order (id INT PRIMARY KEY, status TEXT); INSERT INTO tb_order SELECT k, 'open' FROM generate_series(1, {_ROWS}) AS k")


def _block(kind: str, heading: str) -> str:
    section = _PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.search(rf"```{kind}\n(.*?)```", section, re.DOTALL).group(1)


def test_the_pages_markers_are_real_ones_and_its_lines_check_them(single_pair, deploy, report):
    deployment = deploy(single_pair, prepare=_tables, has_witness=False)
    streamer = deployment.streamer
    runs = Runs(streamer, Administrator(deployment.nats.url))
    streamer.start()
    ask(streamer, "--table", "public.tb_log", "--table", "public.tb_part", "--where", "true", "--wait")
    # It begins anew, as its table is changed in its midst; the next one is given up.
    for wish in ("change", "cancel"):
        before = runs.read()
        run = runs.request("public.tb_order", options=["--rate", "1000"])
        runs.wait_read(before + 100)
        if wish == "change":
            deployment.postgres.run("ALTER TABLE tb_order ADD COLUMN extra INT DEFAULT 7")
            runs.wait_done(run)
        else:
            ask(streamer, "--cancel", str(run))
            runs.wait_state(run, "cancelled")

    events = list(stream.read(deployment.nats.url))
    markers = [event.json["backfill"] for event in events if event.subject.endswith("._slotstream.BACKFILL")]
    printed = [json.loads(line) for line in _block("json", "Markers").splitlines()]
    assert {marker["event"] for marker in printed} == {marker["event"] for marker in markers}
    for shown in printed:
        assert any(shown.keys() == real.keys() for real in markers if real["event"] == shown["event"]), (shown, markers)
    read = next(event for event in events if event.subject.endswith(".Part.READ"))
    shown = json.loads(_block("json", "Rules for consumers"))
    assert read.json.keys() == shown.keys() and list(read.json["backfill"]) == list(shown["backfill"])

    rows = [event.json for event in events if event.json["operation"] != "BACKFILL"]
    for row in [*rows[:20], rows[-1], shown]:
        validate("slotstream", row)

    page: dict = {}
    exec(_block("python", "Markers"), page)  # noqa: S102
    for number in ("1", "2", "3"):
        of_run = [(event.id, event.json) for event in events if f".b.{number}." in (event.id or "")]
        page["check"](of_run)
        lost = next(index for index, (_, body) in enumerate(of_run) if body["operation"] == "READ")
        if of_run[-1][1]["backfill"]["event"] == "end" and "restart" not in {body["backfill"].get("event") for _, body in of_run}:
            with pytest.raises(AssertionError):
                page["check"](of_run[:lost] + of_run[lost + 1:])
    report(f"{single_pair}: the {len(printed)} markers of backfill.md have the members of real ones, its digest is that of {len(events)} messages")
