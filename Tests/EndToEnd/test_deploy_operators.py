"""deploy/docs/operators.md and clouds.md as far as they go here: streams, buckets and consumers as NACK makes them, and roles as a
managed PostgreSQL has them, without a superuser. Failover slots: test_failover.py."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from conftest import PAIRS
from doctor import findings
from servers.tools import CHECKOUT, wait_until
from streamer import Streamer
from tenants import Tenant, own, refused, tenant_maker, tenants  # noqa: F401
from test_rules_credentials import Certificates, _present, _reload

_CLUSTER = CHECKOUT / "deploy" / "examples" / "cloudnative-pg" / "cluster.yaml"
_NACK = CHECKOUT / "deploy" / "examples" / "nack" / "jetstream.yaml"
_CLOUDS = CHECKOUT / "deploy" / "docs" / "clouds.md"
_SECOND = 10**9

# The defaults in the schema of NACK's resources (deploy/crds.yml of nats-io/nack f6dad09).
_STREAM_DEFAULTS = {"retention": "limits", "maxMsgs": -1, "maxBytes": -1, "maxAge": "", "maxMsgSize": -1, "maxConsumers": -1,
                    "storage": "memory", "discard": "old", "replicas": 1}
_CONSUMER_DEFAULTS = {"ackWait": "1ns", "replayPolicy": "instant"}


def _nanoseconds(duration: str) -> int:
    """Go's durations, of one unit."""
    number, unit = re.fullmatch(r"(\d+)(ns|s|m|h)", duration).groups()
    return int(number) * {"ns": 1, "s": _SECOND, "m": 60 * _SECOND, "h": 3600 * _SECOND}[unit]


def _stream_of(spec: dict) -> dict:
    """The request that NACK sends: `streamSpecToConfig` upon jsm.go's `DefaultStream`."""
    spec = _STREAM_DEFAULTS | spec
    request = {"name": spec["name"], "subjects": spec["subjects"], "retention": spec["retention"], "storage": spec["storage"],
               "discard": spec["discard"], "max_consumers": spec["maxConsumers"], "max_msgs": spec["maxMsgs"], "max_bytes": spec["maxBytes"],
               "max_msg_size": spec["maxMsgSize"], "num_replicas": spec["replicas"], "max_msgs_per_subject": -1,
               # Of `DefaultStream`; "" leaves it so.
               "max_age": _nanoseconds(spec["maxAge"]) if spec["maxAge"] else 365 * 24 * 3600 * _SECOND}
    if "duplicateWindow" in spec:
        request["duplicate_window"] = _nanoseconds(spec["duplicateWindow"])
    flags = {"denyDelete": "deny_delete", "denyPurge": "deny_purge", "allowDirect": "allow_direct", "allowAtomicPublish": "allow_atomic"}
    return request | {name: True for key, name in flags.items() if spec.get(key)}


def _bucket_of(spec: dict) -> dict:
    """The stream that nats.go makes for NACK's bucket: `prepareKeyValueConfig`."""
    return {"name": f"KV_{spec['bucket']}", "subjects": [f"$KV.{spec['bucket']}.>"], "max_msgs_per_subject": spec.get("history") or 1,
            "storage": spec.get("storage") or "file", "num_replicas": spec.get("replicas") or 1, "max_bytes": -1, "max_msgs": -1,
            "max_consumers": -1, "max_msg_size": -1, "allow_rollup_hdrs": True, "deny_delete": True, "allow_direct": True, "discard": "new",
            "duplicate_window": 120 * _SECOND}


def _consumer_of(spec: dict) -> dict:
    """`consumerSpecToConfig` upon jsm.go's `DefaultConsumer`."""
    spec = _CONSUMER_DEFAULTS | spec
    return {"stream_name": spec["streamName"], "config": {
        "durable_name": spec["durableName"], "deliver_policy": spec.get("deliverPolicy", "all"), "ack_policy": spec.get("ackPolicy", "explicit"),
        "ack_wait": _nanoseconds(spec["ackWait"]), "max_deliver": spec.get("maxDeliver", -1), "replay_policy": spec["replayPolicy"],
        "filter_subject": spec.get("filterSubject", "")}}


def _apply(tenant: Tenant, *without: str) -> None:
    """The example's resources, with the servers' replicas, and without these of their keys."""
    for resource in yaml.safe_load_all(_NACK.read_text()):
        spec = {key: value for key, value in resource["spec"].items() if key not in without}
        if "replicas" in spec:
            spec["replicas"] = tenant.nats.replicas
        match resource["kind"]:
            case "Stream":
                tenant.administrator.add(**_stream_of(spec))
            case "KeyValue":
                tenant.administrator.add(**_bucket_of(spec))
            case "Consumer":
                request = _consumer_of(spec)
                tenant.administrator.api(f"CONSUMER.DURABLE.CREATE.{spec['streamName']}.{spec['durableName']}", **request)


def _shop(tenant: Tenant) -> Streamer:
    """A streamer whose configuration has the names and limits of the example."""
    return tenant.another({"transport.nats": {"stream_name": "shop", "subject_prefix": "shop", "consumer_name": "shop_worker"},
                           "transport.nats.jetstream": {"max_bytes": 10 * 2**30, "max_age_days": 7, "dedup_window_minutes": 5,
                                                        "ack_wait_secs": 30, "max_deliver": 3, "replicas": tenant.nats.replicas}})


@pytest.mark.parametrize("each", PAIRS, ids=str)
def test_stream_bucket_and_consumer_of_nack_are_taken_as_they_are(each, own):
    tenant = own(each, setup=False)
    _apply(tenant)
    before = {name: tenant.administrator.config(name) for name in ("shop", "KV_slotstream")}
    streamer = _shop(tenant)
    said = streamer.command("setup").stdout
    assert "slot " in said and not re.search(r"created: (stream|key-value|durable)", said), said
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    assert [event.json["entity"]["n"] for event in tenant.administrator.messages("shop")] == [1, 2, 3, 4, 5]
    assert {name: tenant.administrator.config(name) for name in before} == before, "nothing for NACK to set right"
    # On a server that has fast batches, NACK's resource has no key for them.
    told = {(each["id"], each["message"].split(":")[0]) for each in findings(streamer)
            if each["object"] in ("stream shop", "bucket slotstream", "consumer shop_worker") and each["id"] not in ("W032", "W026")}
    assert told <= {("W063", "stream shop stays unchanged")}, told
    assert streamer.terminate() == 0


def test_nacks_default_storage_is_refused(own):
    tenant = own(PAIRS[1], setup=False)
    # Nor its limit, for which the server has no memory.
    _apply(tenant, "storage", "maxBytes")
    assert "storage is memory, must be file" in refused(_shop(tenant), 78, "configuration", "setup")
    assert tenant.administrator.config("shop")["storage"] == "memory", "nothing was changed"


def test_nacks_default_ack_wait_is_told(own):
    tenant = own(PAIRS[1], setup=False)
    _apply(tenant, "ackWait")
    streamer = _shop(tenant)
    streamer.setup()
    assert [each for each in findings(streamer) if each["id"] == "W063" and "ack_wait is 1e-09 s" in each["message"]]


# CloudNativePG


def test_the_clusters_rules_let_the_role_in_over_tls_and_into_its_database_only(own):
    """The lines of the example stand before one that lets everybody in, as CloudNativePG writes them. Debian's PostgreSQL speaks TLS."""
    tenant = own(PAIRS[0])
    cluster = next(each["spec"] for each in yaml.safe_load_all(_CLUSTER.read_text()) if each["kind"] == "Cluster")
    ours = Certificates(tenant.servers.folder / "ours")
    _present(tenant, *ours.issue("server"), ours.ca)
    tenant.run("CREATE ROLE slotstream LOGIN REPLICATION PASSWORD 'secret'")
    hba = Path(tenant.value("SHOW hba_file"))
    lines = [line.replace(" shop ", f" {tenant.name} ") for line in cluster["postgresql"]["pg_hba"]]
    hba.write_text("\n".join([*lines, "host all slotstream all trust", hba.read_text()]))
    _reload(tenant)
    conninfo = tenant.conninfo.replace("user=postgres", "user=slotstream password=secret")
    refused(tenant.another(conninfo=f"{conninfo} sslmode=disable"), 78, "credentials", "setup")
    elsewhere = conninfo.replace(f"dbname={tenant.name}", "dbname=postgres")
    refused(tenant.another(conninfo=f"{elsewhere} sslmode=require"), 78, "credentials", "setup")
    streamer = tenant.another(conninfo=f"{conninfo} sslmode=verify-full sslrootcert={ours.ca}")
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    assert streamer.terminate() == 0


# Roles


def _statements() -> str:
    """What clouds.md has an administrator run who is no superuser."""
    return re.search(r"```sql\n(-- As the provider's administrator.*?)```", _CLOUDS.read_text(), re.DOTALL)[1]


def _managed(tenant: Tenant) -> str:
    """Makes an administrator as managed databases have one: it may make roles and let them replicate, and is no superuser; it owns the
    database. Returns how it connects."""
    tenant.run("CREATE ROLE provider_admin LOGIN NOSUPERUSER CREATEROLE CREATEDB REPLICATION BYPASSRLS")
    tenant.run("CREATE ROLE shop_owner NOLOGIN")
    tenant.run("GRANT shop_owner TO provider_admin WITH ADMIN OPTION")
    tenant.run(f"ALTER DATABASE {tenant.name} OWNER TO provider_admin")
    tenant.run("CREATE TABLE customers (id BIGINT PRIMARY KEY); CREATE TABLE invoices (id BIGINT PRIMARY KEY)")
    tenant.run("ALTER TABLE customers OWNER TO shop_owner; ALTER TABLE invoices OWNER TO shop_owner")
    return tenant.conninfo.replace("user=postgres", "user=provider_admin")


def _psql(tenant: Tenant, conninfo: str, *arguments: str, text: str = "") -> str:
    done = subprocess.run([tenant.postgres.bin / "psql", "-X", "-v", "ON_ERROR_STOP=1", "-d", conninfo, *arguments], input=text,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def _streams_as(tenant: Tenant, conninfo: str) -> None:
    streamer = tenant.another({"source": {"publication": "shop", "tables": ["public.customers", "public.invoices"]}}, conninfo=conninfo)
    streamer.setup()
    streamer.start()
    tenant.run("INSERT INTO customers SELECT generate_series(1, 5)")
    tenant.run("INSERT INTO invoices SELECT generate_series(1, 5)")
    tenant.wait_stored(10)
    tenant.wait_confirmed()
    assert not [each for each in findings(streamer) if each["severity"] == "error"]
    assert "W050" not in [each["id"] for each in findings(streamer)], "it may only replicate"
    streamer.kill()
    tenant.wait_free()
    streamer.start()
    tenant.run("INSERT INTO customers VALUES (6)")
    wait_until(lambda: tenant.last_sequence() == 11, 30, "it goes on")
    assert streamer.terminate() == 0


@pytest.mark.parametrize("how", ["the page's statements", "sql/role.sql"])
def test_an_administrator_who_is_no_superuser_sets_up_a_role_that_may_only_replicate(how, own):
    """PostgreSQL 16 and newer let who may replicate and make roles pass that on; before, providers have a way of their own."""
    tenant = own(PAIRS[1], setup=False)
    administrator = _managed(tenant)
    statements = _statements().replace("DATABASE shop", f"DATABASE {tenant.name}")
    if how == "sql/role.sql":
        _psql(tenant, administrator, "-f", str(CHECKOUT / "sql" / "role.sql"))
        statements = "".join(line for line in statements.splitlines(keepends=True) if "ROLE slotstream" not in line)
    _psql(tenant, administrator, text=statements)
    _streams_as(tenant, tenant.conninfo.replace("user=postgres", "user=slotstream"))


def test_the_owner_of_the_tables_streams_with_a_role_of_its_own_that_may_replicate(own):
    """Where there is one role for everything, as Supabase's `postgres` and Neon's owner: it makes the publication too."""
    tenant = own(PAIRS[1], setup=False)
    administrator = _managed(tenant)
    streamer = tenant.another({"source": {"publication": "shop", "tables": ["public.customers", "public.invoices"]}}, conninfo=administrator)
    assert "CREATE PUBLICATION" in streamer.command("setup").stdout
    streamer.start()
    tenant.run("INSERT INTO customers VALUES (1)")
    tenant.wait_stored(1)
    assert "W050" in [each["id"] for each in findings(streamer)], "it may write the tables"
    assert streamer.terminate() == 0
