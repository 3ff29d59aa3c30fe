"""deploy/docs/observer.md: its rights in NATS are enough, and none is idle; its examples do what they say."""

import json
import re
from pathlib import Path

import jsonschema
import pytest

from answers import Plan
from conftest import PAIRS
from places import Place, PlaceMaker, place, place_maker, places  # noqa: F401
from servers.nats import Nats
from servers.tools import CHECKOUT, free_port, wait_until
from tenants import own, tenant_maker  # noqa: F401
from worker import QUICK_RETRY, Worker, observer, webhook

_PAGE = (CHECKOUT / "deploy" / "docs" / "observer.md").read_text()
_PASSWORD = "s3cret-Pa55word"
_USER = "slotstream_observer"


def _block() -> str:
    """The page's user with its rights, with a password."""
    [block] = re.findall(r"<!-- run by test_deploy_observer.py -->\n\n```\n(.*?)```", _PAGE, re.DOTALL)
    return block.replace('"PASSWORD"', f'"{_PASSWORD}"')


def _rights(block: str) -> list[str]:
    return re.findall(r'^ +"([^"]+)"', block, re.MULTILINE)


def _lines(block: str) -> tuple[str, ...]:
    """nats-server's configuration with that user, and a log of every message; the tests' own hands give no name and may do everything."""
    return ("authorization { users = [", "  { user: admin, password: admin }", block, "] }", "no_auth_user: admin", "trace: true")


class Shop(Place):
    """The page's stream `shop`, whose consumer is `observer`, and workers that are the page's user."""

    def __init__(self, nats: Nats, folder: Path, **options):
        super().__init__(nats, folder, "shop", "shop", **options)
        self._password = folder / "password"
        self._password.touch(mode=0o600)
        self._password.write_text(_PASSWORD + "\n")

    def worker(self, observers: dict[str, dict] | None = None, overrides: dict[str, dict] | None = None, **options) -> Worker:
        user = {"transport.nats": {"consumer_name": "observer", "user": _USER, "password_file": str(self._password)}}
        return super().worker(observers, user | (overrides or {}), **options)

    def is_idle(self) -> bool:
        info = self.stream.consumer("observer")
        return info["num_pending"] == 0 and info["num_ack_pending"] == 0

    def said(self) -> str:
        """What nats-server has logged."""
        [server] = self.nats.servers
        return server.log.read_text(errors="replace")

    def published(self) -> set[str]:
        """The subjects to which the page's user has published, allowed or not, by nats-server's own log."""
        clients = set(re.findall(rf'(cid:\d+) - .*\[CONNECT .*"user":"{_USER}"', self.said()))
        assert clients
        return {subject for client, subject in re.findall(r"(cid:\d+) - .*\[H?PUB (\S+) ", self.said()) if client in clients}


def _covers(right: str, subject: str) -> bool:
    pattern = re.escape(right).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(pattern, subject) is not None


@pytest.fixture
def shops():
    """Makes shops, each on a nats-server of its own."""
    makers: list[tuple[PlaceMaker, Shop]] = []

    def make(version: str, block: str, **options) -> Shop:
        maker = PlaceMaker()
        shop = Shop(*maker.on(version, _lines(block)), **options)
        makers.append((maker, shop))
        return shop

    yield make
    for maker, shop in makers:
        shop.close()
        maker.close(keeps_folders=False)


_SCHEMA = json.loads((CHECKOUT / "deploy" / "schemas" / "dead-letter.schema.json").read_text())


def _require_valid(letters: list[dict]) -> None:
    """As the schema has dead letters, and with no member that the schema does not know."""
    assert letters
    checker = jsonschema.Draft202012Validator(_SCHEMA, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)
    for letter in letters:
        checker.validate(letter)
        assert {name for name in letter if not name.startswith("_")} <= set(_SCHEMA["properties"]), letter


def _live(shop: Shop) -> None:
    """What a worker goes through: events done and dead, another worker that takes over, an event that its worker dies of, and every command."""
    shop.receiver.answers("ok", path="/hook")
    observers = {"made": observer(webhook(shop.receiver.url()))}
    worker = shop.worker(observers)
    worker.command("setup")
    worker.command("check")
    worker.start()
    standby = shop.started(observers)
    shop.publish(3)
    shop.wait_arrivals(3)
    shop.receiver.answers("400")
    shop.publish(2)
    _require_valid(shop.wait_dead(2))
    shop.wait_idle()
    assert "2 dead letters" in worker.command("status", expect=1).stdout
    listed = json.loads(worker.command("dead", "list", "--json").stdout)
    assert [letter["number"] for letter in listed["letters"]] == [1, 2]
    worker.command("dead", "show", "1")
    shop.receiver.answers("ok")
    worker.command("dead", "retry", "1", "--yes")
    worker.command("dead", "drop", "2", "--yes")
    assert shop.stream.dead() == []
    # The one that works is killed with an event in its hands, for the last time that it is delivered.
    shop.receiver.answers("hang")
    shop.publish(1)
    arrivals = shop.wait_arrivals(7)
    working, other = (worker, standby) if worker.role == "active" else (standby, worker)
    working.kill()
    shop.receiver.answers("ok")
    (letter,) = shop.wait_dead(1)
    _require_valid([letter])
    assert letter["reason"] == "max_deliver" and len(arrivals) == 7
    other.command("dead", "retry", "--all", "--yes")
    assert other.terminate() == 0


def test_with_the_page_s_rights_everything_works_and_nothing_is_refused_and_no_right_is_idle(shops):
    """On both servers, for what a lease needs is asked of the older one only."""
    used: set[str] = set()
    for pair in PAIRS:
        shop = shops(pair.nats, _block(), ack_wait=2, max_deliver=1)
        _live(shop)
        assert not re.search("Violation", shop.said()), re.findall(r".*Violation.*", shop.said())[:5]
        used |= shop.published()
    assert {right for right in _rights(_block()) if not any(_covers(right, subject) for subject in used)} == set()


def test_after_the_setup_the_lines_for_the_setup_may_go(shops):
    lasting = re.sub(r" *# Only until.*?(?=\n +\]\n)", "", _block(), flags=re.DOTALL)
    assert len(_rights(lasting)) < len(_rights(_block()))
    later = lasting.replace(_USER, "later")
    shop = shops(PAIRS[1].nats, _block() + later)
    worker = shop.worker()
    worker.command("setup")
    other = shop.worker(overrides={"transport.nats": {"consumer_name": "observer", "user": "later", "password_file": str(shop._password)}})
    other.start()
    shop.publish(3)
    shop.wait_arrivals(3)
    shop.wait_idle()
    assert other.terminate() == 0 and "Violation" not in shop.said()


def test_without_the_right_to_store_dead_letters_it_says_so_and_acknowledges_nothing(shops):
    """Somebody who pastes a part of the block learns of it, and loses nothing."""
    block = _block().replace('"shop_dead.>"', "")
    shop = shops(PAIRS[1].nats, block, plan=Plan({"/hook": ["400"]}))
    worker = shop.started({"made": observer(webhook(shop.receiver.url()))})
    shop.publish(1)
    shop.wait_arrivals(1)
    wait_until(lambda: "shop_dead" in worker.log.read_text() and "Violation" in shop.said(), 60, "it says so")
    assert shop.stream.consumer("observer")["num_ack_pending"] == 1


def _python() -> str:
    """The page's receiver that looks at signatures."""
    [block] = re.findall(r"```python\n(.*?)```", _PAGE, re.DOTALL)
    return block


def test_the_page_s_receiver_knows_a_genuine_request(place):
    said: dict = {}
    exec(_python(), said)
    secret = "whsec_of-the-page"
    place.started({"made": observer(webhook(place.receiver.url(), signing_secret=secret))})
    place.publish(1)
    (arrival,) = place.wait_arrivals(1)
    header = arrival.headers["x-fraiseql-signature-256"]
    assert said["is_genuine"](header, arrival.body.encode(), secret.encode())
    assert not said["is_genuine"](header, arrival.body.encode() + b" ", secret.encode())
    assert not said["is_genuine"](header, arrival.body.encode(), b"another")
    old = header.replace(re.search(r"t=(\d+)", header)[1], "1000000000")
    assert not said["is_genuine"](old, arrival.body.encode(), secret.encode())


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


@pytest.mark.parametrize("example", _blocks("toml"), ids=lambda text: text.splitlines()[0])
def test_the_page_s_observers_are_taken(place, example):
    worker = place.worker({}, environment={"PAID_URL": "https://hooks.example.com/paid", "ORDER_URL": "https://hooks.example.com/order"})
    worker.config.write_text(worker.config.read_text() + example)
    worker.command("setup")
    said = worker.command("check", expect=None)
    assert "observers." not in said.stdout + said.stderr, said.stdout + said.stderr
    worker.start()


def test_the_page_s_function_does_its_work_once_by_a_role_that_may_do_nothing_else(one_pair, own, places):
    tenant = own(one_pair, setup=False)
    function, role = _blocks("sql")
    tenant.run("CREATE TABLE counter (orders INT); INSERT INTO counter VALUES (0)")
    tenant.run(function)
    tenant.run(role)
    place = places(one_pair.nats)
    url = re.sub(r"user=\S+", "user=observer", tenant.conninfo)
    assert "user=observer" in url
    observers = {"counted": observer({"type": "database", "function_name": "count_order"}), "refused": observer(webhook(place.receiver.url()))}
    worker = place.started(observers, {"observer_worker": {"database_url": url}})
    place.publish(3)
    place.wait_arrivals(3)
    place.wait_idle()
    with tenant.connect() as connection:
        assert connection.execute("SELECT orders FROM counter").fetchone() == (3,)
        # What is done again by somebody else is the same event.
        connection.execute("SELECT count_order(jsonb_build_object('event', jsonb_build_object('id', id))) FROM done")
        assert connection.execute("SELECT orders FROM counter").fetchone() == (3,)
        connection.execute("SET ROLE observer")
        with pytest.raises(Exception, match="permission denied"):
            connection.execute("SELECT * FROM counter")
    assert worker.terminate() == 0


def _metrics_of_the_page() -> set[str]:
    section = _PAGE.partition("### Metrics")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


def test_the_page_s_metrics_are_the_worker_s(place):
    place.receiver.answers("500", "ok", path="/hook")
    worker = place.started({"made": observer(webhook(place.receiver.url())), "asked": observer(webhook(place.receiver.url()), condition="missing == 1"),
                            "away": observer(webhook(f"http://127.0.0.1:{free_port()}/"), priority=200,
                                             retry=QUICK_RETRY | {"max_attempts": 100})})
    place.publish(2)

    def exported() -> set[str]:
        return {line.split()[2] for line in worker.get("/metrics").splitlines() if line.startswith("# TYPE")}

    wait_until(lambda: "slotstream_observer_breaker_open" in exported(), 60, "nothing is sent to the host that is away")
    # The process's and the log's are the streamer's as well.
    shared = {name for name in exported() if name.startswith("process_")} | {"slotstream_log_lines_dropped_total"}
    assert exported() - shared == _metrics_of_the_page()


def test_a_stop_takes_no_longer_than_its_supervisors_wait():
    """Of systemd, Kubernetes and Compose."""
    shutdown = int(re.search(r'\| `observer_worker.shutdown_timeout` \| `"(\d+)s"`', _PAGE)[1])
    unit = (CHECKOUT / "deploy/systemd/slotstream-observer.service").read_text()
    pod = (CHECKOUT / "deploy/kubernetes/overlays/observer/deployment.yaml").read_text()
    compose = (CHECKOUT / "deploy/compose/compose.yaml").read_text().partition("\n  observer:")[2]
    waits = [re.search(pattern, text)[1] for pattern, text in (
        (r"TimeoutStopSec=(\d+)", unit), (r"terminationGracePeriodSeconds: (\d+)", pod), (r"stop_grace_period: (\d+)s", compose))]
    assert all(int(wait) >= shutdown + 5 for wait in waits), waits
