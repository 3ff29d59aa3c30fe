"""`slotstream check` of the role and its connections: each fault is made, found, mended as printed, and found no more."""

from pathlib import Path

import pytest

from doctor import Person, findings, found
from servers.tools import wait_until
from tenants import tenant_maker, tenants  # noqa: F401
from test_rules_log import Certificates, Elsewhere, _present  # noqa: F401
from test_rules_permissions import as_role
from test_rules_reasons import _RefusingPooler, _SilentPooler


def _mended(tenant, streamer, identifier: str, about: str = "", *options: str) -> dict:
    """It is found; what is printed is carried out; it is found no more. Returns the finding."""
    told = found(streamer, identifier, about, *options)
    assert told, findings(streamer, *options)
    for each in told:
        Person(tenant, streamer).carry_out(each["fix"])
    assert not found(streamer, identifier, about, *options)
    return told[0]


def test_the_role_may_not_replicate(one_pair, tenants):
    tenant = tenants(one_pair)
    streamer = as_role(tenant, "NOREPLICATION")
    _mended(tenant, streamer, "E006", f"{tenant.name}_role")
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)


def test_a_password_is_refused(one_pair, tenants):
    tenant = tenants(one_pair)
    wrong = as_role(tenant, "REPLICATION", password="another")
    (told,) = found(wrong, "E007")
    assert "another" not in str(told)
    assert wrong.command("check", expect=1)
    wrong.config.write_text(wrong.config.read_text().replace("password=another", "password=s3cret-Pa55word"))
    assert not found(wrong, "E007")


@pytest.mark.parametrize("scope", ["ROLE {role}", "DATABASE {database}", "ROLE {role} IN DATABASE {database}"])
def test_a_time_limit_is_too_short(scope, one_pair, tenants):
    tenant = tenants(one_pair)
    role = f"{tenant.name}_role"
    tenant.run(f"CREATE ROLE {role} LOGIN REPLICATION")
    streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={role}"))
    # An idle session is not what our commands have: they are found, and end nothing.
    tenant.run(f"ALTER {scope.format(role=role, database=tenant.name)} SET idle_in_transaction_session_timeout = '20ms'")
    _mended(tenant, streamer, "E049", "idle_in_transaction_session_timeout")


def test_the_role_is_a_superuser(one_pair, tenants):
    tenant = tenants(one_pair)
    role = f"{tenant.name}_role"
    tenant.run(f"CREATE ROLE {role} LOGIN REPLICATION SUPERUSER")
    _mended(tenant, tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={role}")), "W050", "superuser")


def test_the_role_is_the_superuser_that_made_the_cluster(one_pair, tenants):
    """He cannot lose that: a role of its own is named instead."""
    tenant = tenants(one_pair)
    (told,) = found(tenant.another(conninfo=tenant.conninfo), "W050", "postgres")
    # As it says.
    script = Path(__file__).parents[2] / "sql" / "role.sql"
    assert told["fix"] == f"Make a role of its own, and name that role in source.url: psql -d {tenant.name} -f sql/role.sql"
    Person(tenant).psql(script.read_text())
    assert not found(tenant.another(conninfo=tenant.conninfo.replace("user=postgres", "user=slotstream")), "W050")


@pytest.mark.parametrize("grant", ["GRANT INSERT, UPDATE ON tb_item TO {role}", "GRANT DELETE ON tb_item TO PUBLIC",
                                   "CREATE ROLE {role}_writers; GRANT TRUNCATE ON tb_item TO {role}_writers; GRANT {role}_writers TO {role}",
                                   "CREATE ROLE {role}_owner; ALTER TABLE tb_item OWNER TO {role}_owner; GRANT {role}_owner TO {role}"],
                         ids=["itself", "as everybody", "as a member", "as an owner"])
def test_the_role_may_write_tables(grant, one_pair, tenants):
    tenant = tenants(one_pair)
    role = f"{tenant.name}_role"
    tenant.run(f"CREATE ROLE {role} LOGIN REPLICATION")
    streamer = tenant.another(conninfo=tenant.conninfo.replace("user=postgres", f"user={role}"))
    assert not found(streamer, "W050")
    tenant.run(grant.format(role=role))
    _mended(tenant, streamer, "W050", "public.tb_item")


def test_the_role_is_admitted_from_everywhere(one_pair, tenants):
    tenant = tenants(one_pair)
    file = Path(tenant.value("SELECT current_setting('hba_file')"))
    before = file.read_text()
    rules = "SELECT count(*) FROM pg_hba_file_rules WHERE address = '0.0.0.0'"
    try:
        file.write_text("host all all 0.0.0.0/0 trust\n" + before)
        tenant.run("SELECT pg_reload_conf()")
        (told,) = found(tenant.streamer, "W008", "line 1")
        # "In place of line 1 of FILE: …"
        place, _, line = told["fix"].partition(f"{file}: ")
        assert place == "In place of line 1 of "
        line, _, reload = line.partition("  # then: ")
        assert "127.0.0.1/32" in line
        # The test's role has no password: it is let in by the next line.
        file.write_text("\n".join([line, *file.read_text().splitlines()[1:]]).replace("scram-sha-256", "trust", 1) + "\n")
        tenant.run(reload)
        wait_until(lambda: tenant.value(rules) == 0, 20, "it is reloaded")
        assert not found(tenant.streamer, "W008")
    finally:
        file.write_text(before)
        tenant.run("SELECT pg_reload_conf()")


@pytest.mark.parametrize("kind", ["refusing", "silent"])
def test_the_connection_goes_through_a_pooler(kind, one_pair, tenants):
    tenant = tenants(one_pair)
    pooler = _RefusingPooler() if kind == "refusing" else _SilentPooler(tenant.postgres.port)
    try:
        streamer = tenant.another(conninfo=tenant.conninfo.replace(f"port={tenant.postgres.port}", f"port={pooler.port}"))
        (told,) = found(streamer, "E051")
        assert "PostgreSQL's own host and port in source.url" in told["fix"]
        streamer.config.write_text(streamer.config.read_text().replace(f"port={pooler.port}", f"port={tenant.postgres.port}"))
        assert not found(streamer, "E051")
    finally:
        pooler.close()


def test_the_encoding_cannot_be_converted(one_pair, tenants):
    tenant = tenants(one_pair, encoding="SQL_ASCII")
    told = found(tenant.streamer, "W010", tenant.name)
    assert told
    Person(tenant).carry_out(told[0]["fix"])
    elsewhere = tenant.another(conninfo=tenant.conninfo.replace(f"dbname={tenant.name}", f"dbname={tenant.name}_utf8"))
    assert not found(elsewhere, "W010")


def test_the_connections_leave_the_machine_without_tls(tenants, oldest_pair):
    """Over an address that is on no loopback; mended by verified TLS to both servers."""
    tenant = tenants(oldest_pair)
    ours = Certificates(tenant.servers.folder / f"{tenant.name}-ours")
    certificate, key = ours.issue("server", "subjectAltName=IP:192.0.2.1")
    _present(tenant, certificate, key, ours.ca)
    with Elsewhere(tenant, oldest_pair.nats) as elsewhere:
        elsewhere.start_nats()
        conninfo = tenant.conninfo.replace("host=127.0.0.1", "host=192.0.2.1").replace(f"port={tenant.postgres.port}", "port=5432")
        streamer = tenant.another({"transport.nats": {"url": f"nats://192.0.2.1:{elsewhere._nats.port}"}, "http": {"listen": ""}},
                                  conninfo=f"{conninfo} sslmode=disable")
        streamer.prefix = elsewhere.prefix
        streamer.environment |= {"HOME": str(streamer.folder)}
        told = found(streamer, "W009", "", "--before-start")
        assert [each["object"] for each in told] == ["PostgreSQL", "NATS"]
        assert "sslmode=verify-full and sslrootcert=FILE" in told[0]["fix"] and "tls:// in transport.nats.url" in told[1]["fix"]
        elsewhere.start_nats("tls {", f'cert_file: "{certificate}"', f'key_file: "{key}"', "}")
        streamer.config.write_text(
            streamer.config.read_text().replace("sslmode=disable", f"sslmode=verify-full sslrootcert={ours.ca}").replace("nats://", "tls://"))
        Person(tenant, streamer).configure({"transport": {"nats": {"tls": {"ca_file": str(ours.ca)}}}})
        assert not found(streamer, "W009", "", "--before-start")
