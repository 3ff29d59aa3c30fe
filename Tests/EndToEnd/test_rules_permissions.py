"""Rights that are missing, passwords that are wrong, servers that are not there: exit code, reason, and no secret told."""

import pytest

from servers.tools import free_port, wait_until
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

_SECRET = "s3cret-Pa55word"
# Who gives no name may do everything; `limited` may not publish events; `strict` cannot even ask.
_USERS = (
    "authorization { users = [",
    "  { user: admin, password: admin }",
    '  { user: limited, password: "' + _SECRET + '", permissions: { publish: { deny: ["rules.>"] } } }',
    '  { user: strict, password: "' + _SECRET + '", permissions: { publish: ["none"], subscribe: ["_INBOX.>"] } }',
    '  { user: whole, password: "' + _SECRET + '" }',
    "] }",
    "no_auth_user: admin",
)


def _as_user(tenant, user: str, password: str = _SECRET):
    """A streamer of the tenant with a NATS user's password in a file."""
    file = tenant.servers.folder / f"{tenant.name}-password"
    file.write_text(password + "\n")
    return tenant.another({"transport.nats": {"user": user, "password_file": str(file)}})


def _tells_no_secret(tenant) -> None:
    """No log, no status, no answer of a command holds the password."""
    for streamer in tenant.streamers:
        said = streamer.log.read_text() if streamer.log.exists() else ""
        for command in (["config"], ["config", "--json"], ["status"], ["status", "--json"], ["setup", "--dry-run"]):
            done = streamer.command(*command, expect=None)
            said += done.stdout + done.stderr
        assert _SECRET not in said


def test_a_nats_user_who_may_not_publish_events_stops(pair, tenants):
    tenant = tenants(pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "limited")
    streamer.start(wait=False)
    tenant.commit(1)
    stopped(streamer, 77, "permission_nats")
    assert tenant.last_sequence() == 0
    _tells_no_secret(tenant)
    allowed = _as_user(tenant, "whole")
    allowed.start()
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
    _tells_no_secret(tenant)


def test_a_nats_user_who_may_not_ask_jetstream_stops(pair, tenants):
    tenant = tenants(pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "strict")
    streamer.start(wait=False)
    stopped(streamer, 77, "permission_nats", seconds=60)
    refused(streamer, 77, "permission_nats", "setup")
    _tells_no_secret(tenant)


def test_a_wrong_nats_password_stops(pair, tenants):
    tenant = tenants(pair, nats_lines=_USERS)
    streamer = _as_user(tenant, "whole", "wrong-" + _SECRET)
    streamer.start(wait=False)
    stopped(streamer, 78, "credentials")
    refused(streamer, 78, "credentials", "setup")
    _tells_no_secret(tenant)


def as_role(tenant, attributes: str, password: str = _SECRET):
    """A streamer of the tenant as a role of its own, which PostgreSQL asks for its password."""
    role = f"{tenant.name}_role"
    with tenant.connect() as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{_SECRET}' {attributes}")
        hba = connection.execute("SELECT current_setting('hba_file')").fetchone()[0]
        with open(hba) as file:
            lines = file.read()
        with open(hba, "w") as file:
            file.write(f"host all {role} 127.0.0.1/32 scram-sha-256\n" + lines)
        connection.execute("SELECT pg_reload_conf()")
    conninfo = tenant.conninfo.replace("user=postgres", f"user={role} password={password}")
    streamer = tenant.another(conninfo=conninfo)
    wait_until(lambda: "password" in tenant.value("SELECT string_agg(auth_method, ' ') FROM pg_hba_file_rules") or
               "scram" in tenant.value("SELECT string_agg(auth_method, ' ') FROM pg_hba_file_rules"), 10, "reloaded")
    return streamer


def test_a_role_without_replication_is_refused(pair, tenants):
    tenant = tenants(pair)
    streamer = as_role(tenant, "NOREPLICATION")
    streamer.start(wait=False)
    stopped(streamer, 77, "permission_postgres")
    refused(streamer, 77, "permission_postgres", "setup")
    _tells_no_secret(tenant)


def test_a_wrong_postgres_password_stops(pair, tenants):
    tenant = tenants(pair)
    streamer = as_role(tenant, "REPLICATION", password="wrong-" + _SECRET)
    streamer.start(wait=False)
    stopped(streamer, 78, "credentials")
    refused(streamer, 78, "credentials", "setup")
    _tells_no_secret(tenant)


def test_a_database_that_does_not_exist_stops(pair, tenants):
    tenant = tenants(pair)
    streamer = tenant.another(conninfo=tenant.conninfo.replace(f"dbname={tenant.name}", "dbname=nowhere"))
    streamer.start(wait=False)
    stopped(streamer, 78, "configuration")


def test_a_role_with_replication_only_streams_what_others_set_up(pair, tenants):
    """sql/role.sql: with REPLICATION and nothing else; the publication is an owner's."""
    tenant = tenants(pair)
    streamer = as_role(tenant, "REPLICATION")
    streamer.setup()
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.wait_confirmed()
    tenant.require_exact(1)
    assert streamer.terminate() == 0
    _tells_no_secret(tenant)


def test_a_role_that_does_not_own_the_tables_cannot_make_the_publication(pair, tenants):
    tenant = tenants(pair, setup=False)
    streamer = as_role(tenant, "REPLICATION")
    said = refused(streamer, 77, "permission_postgres", "setup")
    assert "--print-sql" in said
    assert tenant.name not in tenant.administrator.names()


@pytest.mark.parametrize("command", ["setup", "setup --print-sql", "status", "slot list", "slot drop --yes", "decode"])
def test_a_command_that_cannot_reach_postgres_exits_with_69(one_pair, tenants, command):
    tenant = tenants(one_pair)
    conninfo = f"host=127.0.0.1 port={free_port()} dbname=shop user=postgres password={_SECRET}"
    refused(tenant.another(conninfo=conninfo), 69, "unreachable", *command.split())


@pytest.mark.parametrize("command", ["setup", "status", "tail --from first --count 1"])
def test_a_command_that_cannot_reach_nats_exits_with_69(one_pair, tenants, command):
    tenant = tenants(one_pair)
    streamer = tenant.another({"transport.nats": {"url": f"nats://127.0.0.1:{free_port()}"}})
    said = refused(streamer, 69, "unreachable", *command.split())
    assert "127.0.0.1" in said


def test_passwords_in_urls_are_told_nowhere(pair, tenants):
    tenant = tenants(pair, nats_lines=_USERS)
    url = tenant.nats.url.replace("nats://", f"nats://whole:{_SECRET}@")
    streamer = tenant.another({"transport.nats": {"url": url}},
                              conninfo=tenant.conninfo + f" password={_SECRET}")
    streamer.start()
    tenant.commit(1)
    tenant.wait_stored(1)
    tenant.nats.kill()
    wait_until(lambda: record_entries(streamer, "disconnected from NATS"), 20, "it is disconnected")
    tenant.nats.start()
    tenant.commit(2)
    tenant.wait_stored(2)
    tenant.wait_confirmed()
    assert _SECRET not in streamer.get("/status") + streamer.get("/metrics")
    assert streamer.terminate() == 0
    _tells_no_secret(tenant)
