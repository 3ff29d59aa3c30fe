"""`overlays/sidecar`, run as processes: Slotstream starts before PostgreSQL and ends after it, and PostgreSQL never suffers from it."""

import json
import signal
from collections.abc import Iterator

import psycopg
import pytest

import stream
from administrator import Administrator
from manifests import of_kind, overlay, pod_template
from pods import Pod
from servers.nats import Nats
from servers.tools import free_port, postgres_bin, wait_until

_CONFIG = "--config=/etc/slotstream/slotstream.toml"

# What the image's own entrypoint does, in so far as the manifest relies on it: a cluster is made once, with the scripts, and takes no
# connections over TCP meanwhile.
_ENTRYPOINT = """set -e
PATH="$1:$PATH"; shift
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-host=scram-sha-256 --auth-local=trust --no-sync >/dev/null
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses=''" --wait --silent start
    psql --username=postgres --dbname=postgres --quiet --command="CREATE DATABASE $POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --set=ON_ERROR_STOP=1 --no-password --no-psqlrc --username=postgres --dbname="$POSTGRES_DB" --quiet --file="$script"
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait --silent stop
fi
exec "$@" -c fsync=off
"""


class Database:
    """The pod with PostgreSQL and Slotstream, and a nats-server with the user that the configuration names."""

    def __init__(self, pair, folder):
        self.nats = Nats(pair.nats, folder / "nats")
        with self.nats.servers[0].config.open("a") as config:
            users = '[{ user: slotstream, password: "nats-password" }, { user: test, password: test }]'
            config.write(f"accounts {{ SHOP {{ jetstream: enabled, users: {users} }} }}\nno_auth_user: test\n")
        self.nats.start()
        port = free_port()
        self.conninfo = f"host=127.0.0.1 port={port} dbname=shop user=postgres password=superuser-password"
        secrets = {"slotstream-postgres": {"uri": f"postgres://slotstream:role-password@127.0.0.1:{port}/shop", "password": "role-password"},
                   "slotstream-nats": {"password": "nats-password"}, "postgres-superuser": {"password": "superuser-password"}}
        objects = overlay("sidecar")
        environment = {"slotstream": {"SLOTSTREAM_TRANSPORT_NATS_URL": self.nats.url.replace("127.0.0.1", "nats"),
                                      "SLOTSTREAM_HTTP_LISTEN": f"127.0.0.1:{free_port()}"},
                       "postgres": {"PGPORT": str(port), "LC_ALL": "C.UTF-8"}}
        entrypoint = ["sh", "-c", _ENTRYPOINT, "sh", str(postgres_bin(pair.postgres))]
        template = pod_template(of_kind(objects, "StatefulSet"))
        self.pod = Pod("postgres-0", folder, template, objects, secrets, environment, {"postgres": entrypoint})
        self.streamer, self.postgres = self.pod["slotstream"], self.pod["postgres"]
        self.committed: list[str] = []

    def run(self, sql: str) -> None:
        with psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10) as connection:
            connection.execute(sql)

    def commit(self, count: int) -> None:
        """So many transactions."""
        with psycopg.connect(self.conninfo, autocommit=True, connect_timeout=10) as connection:
            for _ in range(count):
                self.committed.append(f"{len(self.committed)}@example.com")
                connection.execute("INSERT INTO customers (email) VALUES (%s)", (self.committed[-1],))

    def stored(self) -> list[str]:
        return [event.json["entity"]["email"] for event in stream.read(self.nats.url, "shop")]

    def wait_streaming(self) -> None:
        """Until the streamer says so."""
        wait_until(lambda: (status := self.streamer.status())["role"] == "active" and status["ready"], 60,
                   f"it streams, see {self.streamer.log}", 0.1)

    def end(self) -> None:
        """As the kubelet ends the pod: first PostgreSQL, by the signal that its image asks for, then the sidecar."""
        assert self.postgres.end(signal.SIGINT) == 0
        assert self.streamer.running
        assert self.streamer.end() == 0

    def close(self) -> None:
        self.pod.close()
        self.nats.close()


@pytest.fixture
def database(one_pair, folder) -> Iterator[Database]:
    made = Database(one_pair, folder)
    yield made
    made.close()


def test_it_starts_before_postgres_waits_and_ends_after_it_with_everything_stored(database, report):
    streamer = database.streamer
    assert [container.name for container in database.pod.containers] == ["slotstream", "postgres"]
    streamer.start()
    wait_until(lambda: streamer.probe("livenessProbe").returncode == 0, 30, "it is live")
    wait_until(lambda: streamer.entries("interrupted, trying again"), 30, "it waits for PostgreSQL")
    assert streamer.execute("slotstream", "health", "--ready", _CONFIG).returncode == 1
    database.postgres.start()
    database.pod.wait_ready()
    database.wait_streaming()
    for _ in ("the first time", "after a restart of both"):
        database.commit(200)
        # PostgreSQL is told to stop at once: what is committed is sent and confirmed while it stops.
        database.end()
        assert database.stored() == database.committed
        database.pod.start()
        database.pod.wait_ready()
        database.wait_streaming()
    report(f"sidecar: {len(database.committed)} rows committed up to each stop of PostgreSQL, all stored when the pod had ended")


def test_postgres_serves_while_nats_is_away(database):
    database.pod.start()
    database.pod.wait_ready()
    database.wait_streaming()
    database.nats.kill()
    wait_until(lambda: not database.streamer.status()["ready"], 60, "the streamer is not ready")
    # The pod is, and so the application has its database.
    assert database.pod.is_ready()
    database.commit(3)
    database.nats.start()
    wait_until(lambda: database.stored() == database.committed, 60, "all is stored")


def test_postgres_serves_after_a_stop_of_the_streamer(database):
    database.pod.start()
    database.pod.wait_ready()
    database.wait_streaming()
    database.commit(1)
    wait_until(lambda: database.stored() == database.committed, 30, "it is stored")
    Administrator(database.nats.url).api("STREAM.DELETE.shop")
    database.run("INSERT INTO customers (email) VALUES ('lost@example.com')")
    wait_until(lambda: "stream_missing" in database.streamer.termination.read_text(), 60, "it stops, and says why")
    assert database.pod.is_ready()
    assert database.streamer.probe("livenessProbe").returncode == 0
    assert json.loads(database.streamer.execute("slotstream", "status", "--json", _CONFIG).stdout)["last_error"]["reason"] == "stream_missing"


def test_it_stands_by_on_a_server_in_recovery_and_streams_after_the_promotion(database):
    database.pod.start()
    database.pod.wait_ready()
    database.wait_streaming()
    database.commit(2)
    database.end()
    signal_file = next(database.pod.volumes["data"].glob("*/docker/PG_VERSION")).with_name("standby.signal")
    signal_file.touch()
    database.pod.start()
    database.pod.wait_ready()
    wait_until(lambda: database.streamer.status()["role"] == "standby", 30, "it stands by")
    assert database.streamer.probe("livenessProbe").returncode == 0
    database.run("SELECT pg_promote()")
    database.wait_streaming()
    database.commit(2)
    wait_until(lambda: database.stored() == database.committed, 30, "all is stored")
