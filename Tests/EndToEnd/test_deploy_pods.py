"""The pods of `deploy/kubernetes`, run as processes on real servers: probes, rolling updates of streamer and observer worker, a stop that
waits, jobs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hooks import Receiver
from manifests import of_kind, overlay, pod_template, workload
from pods import Pod
from servers.tools import CHECKOUT, free_port, wait_until
from tenants import tenant_maker, tenants  # noqa: F401

_PASSWORD = "a-password-that-nobody-is-to-see"
_CONFIG = "--config=/etc/slotstream/slotstream.toml"


class Shop:
    """A database, a user of NATS, and the pods that a test makes for them: what `base/slotstream.toml` calls shop is the tenant's."""

    def __init__(self, tenant, folder):
        self.tenant, self.folder, self.pods = tenant, folder, []
        tenant.run("CREATE TABLE customers (n BIGINT PRIMARY KEY); CREATE TABLE invoices (n BIGINT PRIMARY KEY)")
        # As `deploy/docs/setup.md` says. The role is the cluster's.
        tenant.postgres.run_file(CHECKOUT / "sql" / "role.sql")
        tenant.run(f"CREATE PUBLICATION {tenant.name} FOR TABLE customers, invoices")
        host = f"127.0.0.1:{tenant.postgres.port}"
        self.secrets = {"slotstream-postgres": {"uri": f"postgres://slotstream:{_PASSWORD}@{host}/{tenant.name}\n"},
                        "slotstream-nats": {"password": f"{_PASSWORD}\n"}}

    def pod(self, name: str, objects: list[dict], kind: str = "Deployment") -> Pod:
        """A pod of that workload, not yet started."""
        names = {"SOURCE_SLOT": self.tenant.name, "SOURCE_PUBLICATION": self.tenant.name, "TRANSPORT_NATS_STREAM_NAME": self.tenant.name,
                 "TRANSPORT_NATS_SUBJECT_PREFIX": self.tenant.prefix, "TRANSPORT_NATS_JETSTREAM_MAX_BYTES": str(2**28),
                 "TRANSPORT_NATS_URL": self.tenant.nats.url.replace("127.0.0.1", "nats"), "HTTP_LISTEN": f"127.0.0.1:{free_port()}"}
        made = Pod(name, self.folder, pod_template(of_kind(objects, kind)), objects, self.secrets,
                   {"slotstream": {f"SLOTSTREAM_{key}": value for key, value in names.items()}})
        self.pods.append(made)
        return made

    def observer(self, name: str, receiver: Receiver) -> Pod:
        """A pod of the observer worker, not yet started; its webhooks go to the receiver."""
        variables = {"WEBHOOK_URL": receiver.url(), "WEBHOOK_SIGNING_SECRET": _PASSWORD}
        secrets = {"slotstream-observer-nats": {"password": f"{_PASSWORD}\n"}, "slotstream-observer": variables}
        names = {"TRANSPORT_NATS_STREAM_NAME": self.tenant.name, "TRANSPORT_NATS_SUBJECT_PREFIX": self.tenant.prefix,
                 "TRANSPORT_NATS_URL": self.tenant.nats.url.replace("127.0.0.1", "nats"), "OBSERVER_WORKER_LISTEN": f"127.0.0.1:{free_port()}",
                 "OBSERVER_WORKER_ALLOW_PRIVATE_HOSTS": "true"}
        objects = overlay("observer")
        made = Pod(name, self.folder, pod_template(workload(objects)), objects, secrets,
                   {"slotstream-observer": {f"SLOTSTREAM_{key}": value for key, value in names.items()}})
        self.pods.append(made)
        return made

    def run_job(self, command: str) -> tuple[int, str]:
        """The exit code of an overlay's job, and what its log has."""
        pod = self.pod(f"{command}-{len(self.pods)}", overlay(f"job-{command}"), "Job")
        pod.start()
        return pod["slotstream"].wait(60), pod["slotstream"].last_words()

    def commit(self, number: int) -> None:
        with self.tenant.connect() as connection:
            connection.execute("INSERT INTO customers VALUES (%s)", (number,))


@pytest.fixture
def shop(one_pair, tenants, folder) -> Iterator[Shop]:
    # The tests themselves come without a name.
    lines = (f'accounts {{ SHOP {{ jetstream: enabled, users: [{{ user: slotstream, password: "{_PASSWORD}" }}, '
             f'{{ user: slotstream_observer, password: "{_PASSWORD}" }}, {{ user: test, password: test }}] }} }}',
             "no_auth_user: test")
    made = Shop(tenants(one_pair, nats_lines=lines, setup=False), folder)
    yield made
    for pod in made.pods:
        pod.close()


def _active(pods: list[Pod]) -> Pod | None:
    found = [pod for pod in pods if pod["slotstream"].status()["role"] == "active"]
    assert len(found) <= 1, "one slot, one streamer"
    return found[0] if found else None


def _replicas(shop: Shop) -> list[Pod]:
    """Both replicas, ready: the first one streams."""
    objects = overlay("deployment")
    pods = [shop.pod(f"slotstream-{letter}", objects) for letter in "ab"]
    for pod in pods:
        pod.start()
        pod.wait_ready()
    wait_until(lambda: _active(pods) is pods[0], 30, "the first one streams")
    return pods


@contextmanager
def _committing(shop: Shop) -> Iterator[list[int]]:
    """A row after the other, until the block ends; what was committed."""
    committed, ended = [], threading.Event()

    def commit() -> None:
        while not ended.wait(0.005):
            shop.commit(len(committed) + 1)
            committed.append(len(committed) + 1)

    thread = threading.Thread(target=commit)
    thread.start()
    try:
        yield committed
    finally:
        ended.set()
        thread.join()


def _require_all(shop: Shop, committed: list[int]) -> None:
    """Each row once, in order."""
    shop.tenant.wait_stored(len(committed))
    assert [event.json["entity"]["n"] for event in shop.tenant.read()] == committed


def test_a_rolling_update_of_two_replicas_loses_nothing(shop, report):
    old = _replicas(shop)
    for pod in old:
        assert pod["slotstream"].probe("livenessProbe").returncode == 0
    assert old[1]["slotstream"].status()["role"] == "standby"
    with _committing(shop) as committed:
        # maxSurge 0, maxUnavailable 1: one ends, and its successor is ready before the next one ends.
        pods = list(old)
        for index, leaving in enumerate(old):
            before = len(committed)
            assert leaving["slotstream"].end() == 0
            others = [pod for pod in pods if pod is not leaving]
            # Whoever ended streamed: the other one takes over, before the new one is there.
            assert all(pod.is_ready() for pod in others)
            wait_until(lambda: _active(others), 30, "the standby takes over")
            coming = shop.pod(f"slotstream-{'cd'[index]}", overlay("deployment"))
            coming.start()
            coming.wait_ready()
            pods = [*others, coming]
            wait_until(lambda: len(committed) > before + 20, 30, "rows are committed meanwhile")
            # The next one to end is again the one that streams.
            assert index == 1 or _active(pods) is old[1]
    _require_all(shop, committed)
    for pod in pods:
        assert pod["slotstream"].end() == 0
    report(f"rolling update of two pods: {len(committed)} rows committed meanwhile, each stored once and in order")


def test_a_stop_has_time_to_drain(shop):
    [pod, _] = _replicas(shop)
    said = json.loads(pod["slotstream"].execute("slotstream", "config", "--json", _CONFIG).stdout)
    [drain] = [each["value"] for each in said["values"] if each["key"] == "delivery.shutdown_timeout"]
    for name in ("deployment", "sidecar"):
        grace = pod_template(workload(overlay(name)))["spec"]["terminationGracePeriodSeconds"]
        assert drain < grace


def test_a_replica_that_is_killed_is_replaced_by_the_other(shop):
    pods = _replicas(shop)
    shop.commit(1)
    pods[0]["slotstream"].process.kill()
    pods[0]["slotstream"].process.wait()
    shop.commit(2)
    wait_until(lambda: _active(pods[1:]), 30, "the standby takes over")
    _require_all(shop, [1, 2])


def test_a_stop_that_only_a_person_can_mend_leaves_the_pods_with_their_reason(shop):
    pods = _replicas(shop)
    shop.commit(1)
    _require_all(shop, [1])
    for pod in pods:
        assert pod["slotstream"].end() == 0
    shop.tenant.wait_free()
    shop.tenant.run(f"SELECT pg_drop_replication_slot('{shop.tenant.name}')")
    pods = [shop.pod(f"slotstream-{letter}", overlay("deployment")) for letter in "ef"]
    for pod in pods:
        pod.start()
    for pod in pods:
        container = pod["slotstream"]
        # What `kubectl describe pod` shows: the event of the probe, and the message at the termination.
        wait_until(lambda: "slot_missing" in _said(container.probe("readinessProbe")), 30, "the probe tells the reason")
        assert container.probe("livenessProbe").returncode == 0 and container.running
        assert not container.is_ready()
        told = container.termination.read_text()
        assert "slot_missing" in told and "slotstream slot advance" in told
    done = pods[0]["slotstream"].execute("slotstream", "status", "--json", _CONFIG)
    assert done.returncode == 1 and json.loads(done.stdout)["last_error"]["reason"] == "slot_missing"
    done = pods[0]["slotstream"].execute("slotstream", "slot", "advance", "--accept-gap", "--by=ann", _CONFIG)
    assert done.returncode == 0, done.stderr
    # `kubectl rollout restart`
    for pod in pods:
        assert pod["slotstream"].end() == 73
    again = shop.pod("slotstream-g", overlay("deployment"))
    again.start()
    again.wait_ready()
    shop.commit(2)
    wait_until(lambda: shop.tenant.read()[-1].json.get("entity", {}).get("n") == 2, 30, "it streams again")


def _said(done) -> str:
    return done.stdout + done.stderr


def test_a_wrong_configuration_ends_the_container_and_tells_the_mistake(shop):
    objects = overlay("deployment")
    config = of_kind(objects, "ConfigMap")["data"]
    config["slotstream.toml"] = config["slotstream.toml"].replace('publication = "shop"', 'publicaton = "shop"')
    container = shop.pod("slotstream-a", objects)["slotstream"]
    container.start()
    assert container.wait(30) == 78
    # What `kubectl describe pod` shows.
    assert "source.publicaton: unknown key" in container.termination.read_text()


def test_the_pods_cannot_write_and_no_secret_is_told(shop):
    pods = _replicas(shop)
    container = pods[0]["slotstream"]
    assert container.execute("touch", "/etc/slotstream/x").returncode != 0
    assert container.execute("touch", "/tmp/x").returncode != 0
    for pod in pods:
        assert pod["slotstream"].end() == 0
        assert _PASSWORD not in pod["slotstream"].last_words()


def test_the_jobs_do_what_their_names_say(shop):
    code, said = shop.run_job("check")
    assert code == 0, said
    code, said = shop.run_job("setup")
    assert code == 0, said
    assert shop.tenant.name in shop.tenant.administrator.names()
    pods = _replicas(shop)
    for number in (1, 2, 3):
        shop.commit(number)
    _require_all(shop, [1, 2, 3])
    shop.tenant.wait_confirmed()
    code, said = shop.run_job("verify")
    assert code == 0, said
    for _ in ("first", "second try"):
        code, said = shop.run_job("replay")
        assert code == 0, said
    replayed = [event for stream in shop.tenant.administrator.names() if stream != shop.tenant.name
                for event in shop.tenant.administrator.messages(stream) if event.subject.startswith("replay.shop.")]
    assert [event.json["entity"]["n"] for event in replayed] == [1, 2, 3]
    for pod in pods:
        assert pod["slotstream"].end() == 0


def test_a_job_fails_at_once_where_another_try_does_not_help(shop):
    rules = of_kind(overlay("job-setup"), "Job")["spec"]["podFailurePolicy"]["rules"][1]["onExitCodes"]["values"]
    shop.secrets["slotstream-nats"]["password"] = "wrong"
    code, said = shop.run_job("setup")
    assert code in rules, said
    shop.secrets["slotstream-postgres"]["uri"] = f"postgres://slotstream@127.0.0.1:{free_port()}/shop"
    code, said = shop.run_job("setup")
    assert code == 69 and code not in rules, said


@pytest.fixture
def receiver(folder) -> Iterator[Receiver]:
    made = Receiver(folder / "receiver")
    yield made
    made.close()


def _observers(shop: Shop, receiver: Receiver) -> list[Pod]:
    """Both replicas, ready: the first one works, the second one stands by."""
    pods = [shop.observer(f"observer-{letter}", receiver) for letter in "ab"]
    for pod, role in zip(pods, ("active", "standby")):
        pod.start()
        pod.wait_ready()
        assert pod["slotstream-observer"].probe("livenessProbe").returncode == 0
        wait_until(lambda: pod["slotstream-observer"].status()["role"] == role, 30, f"{pod.name} is {role}")
    return pods


def test_a_rolling_update_of_the_observer_posts_each_row_once(shop, receiver, report):
    _replicas(shop)
    old = _observers(shop, receiver)
    with _committing(shop) as committed:
        wait_until(lambda: receiver.count() > 20, 30, "rows are posted")
        for number, pod in enumerate(old):
            assert pod["slotstream-observer"].end() == 0
            new = shop.observer(f"observer-{'cd'[number]}", receiver)
            new.start()
            new.wait_ready()
        count = receiver.count()
        wait_until(lambda: receiver.count() > count + 20, 30, "the new ones go on")
    _require_all(shop, committed)
    arrivals = receiver.wait_count(len(committed))
    assert sorted(arrival.json["n"] for arrival in arrivals) == committed, "each once: nothing was under way that was not ended"
    said = "".join(pod["slotstream-observer"].last_words() for pod in shop.pods if pod.name.startswith("observer"))
    assert _PASSWORD not in said and receiver.url() not in said
    report(f"overlays/observer: a rolling update of two replicas, {len(committed)} rows posted once each")
