"""Secrets that are rotated, expire or are withdrawn while it streams, rights that are taken away, TLS: what goes on by itself,
what stops, with which reason and exit code, and that no secret is told.

The tenants' PostgreSQL is shared; nats-server is a test's own, since it is its configuration that changes.
"""

import base64
import binascii
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from administrator import Administrator
from conftest import PAIRS
from handshake import BrokenHandshake
from servers.nats import Nats
from servers.tools import wait_until
from streamer import Streamer
from tenants import record_entries, refused, stopped, tenant_maker, tenants  # noqa: F401

# What is stored is confirmed at once, and not within a second: less to wait for.
_SOON = {"delivery": {"checkpoint_interval": "50ms"}}


def _replace(file: Path, text: str) -> None:
    """As whoever rotates secrets does it: there is never half a file."""
    fresh = file.with_name(file.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.rename(file)


def _tells_nothing(streamer: Streamer, *hidden: str) -> None:
    """No log and no answer of a command holds any of these."""
    said = streamer.log.read_text()
    for command in (["config"], ["status"], ["setup", "--dry-run"]):
        done = streamer.command(*command, expect=None)
        said += done.stdout + done.stderr
    for text in hidden:
        assert text not in said


def _waits(streamer: Streamer, *hidden: str) -> None:
    """It goes on trying what worked before and is refused now, says so, and `status`, for which nothing has worked yet, ends."""
    def tries() -> list[dict]:
        return [entry for entry in record_entries(streamer, "interrupted, trying again") if "worked before" in entry["hint"]]

    wait_until(lambda: len(tries()) >= 3, 60, "it tries again")
    refused(streamer, 78, "credentials", "status", "--json")
    assert streamer.running and json.loads(streamer.command("status", "--json", expect=None).stdout)["ready"] is False
    _tells_nothing(streamer, *hidden)


def _stops(streamer: Streamer, code: int, reason: str, *hidden: str) -> str:
    """It ends by itself, and `status`, which ends no other way, says the same; returns what the log says."""
    said = stopped(streamer, code, reason, seconds=60)
    refused(streamer, code, reason, "status", "--json")
    _tells_nothing(streamer, *hidden)
    return said


class Guarded:
    """A tenant whose nats-server is its own and has a guard: lines of the configuration that say who comes in, and how."""

    def __init__(self, tenant, version: str):
        self.tenant = tenant
        self.folder = tenant.servers.folder / f"{tenant.name}-guarded"
        self.nats = Nats(version, self.folder)
        self.server = self.nats.servers[0]
        self._plain = self.server.config.read_text()
        # What `Tenant` looks at in NATS it finds here; it is let in once the guard is gone.
        tenant.administrator = Administrator(self.nats.url)

    def admit(self, *lines: str) -> None:
        """Makes these lines the guard; the server learns of it by `reload` or `restart`."""
        self.server.config.write_text(self._plain + "".join(f"{line}\n" for line in lines))

    def start(self) -> None:
        """Starts the server and waits until it listens."""
        self.server.launch()
        wait_until(lambda: socket.create_connection(("127.0.0.1", self.server.port), timeout=1).close() is None, 30,
                   f"nats-server listens: {self.server.log}")

    def reload(self) -> None:
        """SIGHUP: whom the new guard does not let in is put out."""

        def count() -> int:
            return self.server.log.read_text().count("Reloaded server configuration")

        before = count()
        self.server.signal(signal.SIGHUP)
        wait_until(lambda: count() > before, 30, f"the configuration is reloaded: {self.server.log}")

    def restart(self) -> None:
        """kill -9, and started with the guard as it is now."""
        self.server.kill()
        self.start()

    def streamer(self, configured: dict[str, str], tls: dict[str, str] | None = None) -> Streamer:
        """A streamer with these credentials, not yet started."""
        overrides = {"transport.nats": {"url": self.nats.url} | configured}
        if tls:
            overrides["transport.nats.tls"] = tls
        return self.tenant.another(overrides)

    def require_exact(self, last: int, account: str | None = None) -> None:
        """Takes the guard away: the stream holds the rows 1 to `last`, each once, in order."""
        judge = "users: [ { user: judge, password: judge } ]"
        open_to_all = [f"accounts {{ {account}: {{ jetstream: enabled, {judge} }} }}", "no_auth_user: judge"]
        self.admit(*(open_to_all if account else []))
        self.server.kill()
        self.nats.start()
        self.tenant.require_exact(*range(1, last + 1))


@pytest.fixture
def guarded(single_pair, tenants):
    """A guarded nats-server, not yet started, with a tenant beside it on which nothing is set up."""
    made = Guarded(tenants(single_pair, setup=False, overrides=_SOON), single_pair.nats)
    yield made
    made.nats.close()


# Keys, tokens and certificates


def _openssl(*arguments: str | Path) -> bytes:
    done = subprocess.run(["openssl", *arguments], capture_output=True)
    assert done.returncode == 0, f"openssl {arguments[0]}: {done.stderr.decode()}"
    return done.stdout


class NKey:
    """A new Ed25519 pair in the forms of nkeys (`strkey.go`), signed with by `openssl`."""

    _PREFIXES = {"operator": 14 << 3, "account": 0, "user": 20 << 3}

    def __init__(self, kind: str, folder: Path):
        self._pem = folder / f"{secrets.token_hex(8)}.pem"
        _openssl("genpkey", "-algorithm", "ed25519", "-out", self._pem)
        prefix = self._PREFIXES[kind]
        # Both encodings end in the 32 bytes themselves.
        self.public = self._text(bytes([prefix]), _openssl("pkey", "-in", self._pem, "-pubout", "-outform", "DER")[-32:])
        self.seed = self._text(bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]),
                               _openssl("pkey", "-in", self._pem, "-outform", "DER")[-32:])

    @staticmethod
    def _text(prefix: bytes, key: bytes) -> str:
        data = prefix + key
        return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")

    def token(self, subject: str, claims: dict, expires: int | None = None) -> str:
        """A JWT about `subject`, signed by this key."""
        body = {"jti": secrets.token_hex(16), "iat": int(time.time()), "iss": self.public, "sub": subject, "name": subject,
                "nats": {"version": 2} | claims} | ({"exp": expires} if expires else {})
        text = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
                        for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, body))
        file = self._pem.with_suffix(".in")
        file.write_text(text)
        signature = _openssl("pkeyutl", "-sign", "-inkey", self._pem, "-rawin", "-in", file)
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


class Authority:
    """An operator with an account; it issues users' credentials and revokes them."""

    _LIMITS = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
    _STORAGE = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}

    def __init__(self, folder: Path):
        self._folder = folder
        self._operator, self._system = NKey("operator", folder), NKey("account", folder)
        self._account = NKey("account", folder)
        self.account = self._account.public
        # Made once: another token of the operator is nothing that a reload would take.
        self._operator_token = self._operator.token(self._operator.public, {"type": "operator"})
        self._revocations: dict[str, int] = {}

    def guard(self) -> list[str]:
        """The server's configuration: whoever was not revoked comes in."""
        def account(key: NKey, **claims) -> str:
            return f"{key.public}: {self._operator.token(key.public, {'type': 'account'} | claims)}"

        return [f"operator: {self._operator_token}",
                f"system_account: {self._system.public}", "resolver: MEMORY", "resolver_preload {",
                account(self._account, limits=self._LIMITS | self._STORAGE, revocations=self._revocations),
                account(self._system, limits=self._LIMITS), "}"]

    def credentials(self, user: NKey, expires: int | None = None) -> str:
        """The user's credentials file."""
        claims = {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
        return (f"-----BEGIN NATS USER JWT-----\n{self._account.token(user.public, claims, expires)}\n"
                "------END NATS USER JWT------\n\n"
                f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")

    def user(self) -> NKey:
        """A new user."""
        return NKey("user", self._folder)

    def revoke(self, user: NKey) -> None:
        """Lets the user in no more, from the next `guard` on."""
        self._revocations[user.public] = int(time.time()) + 1


class Certificates:
    """An authority of our own and what it signs, as PEM files in a folder of its own."""

    _KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")

    def __init__(self, folder: Path):
        self._folder = folder
        folder.mkdir()
        self.ca = folder / "ca.pem"
        _openssl("req", "-x509", *self._KEY, "-days", "2", "-subj", "/CN=ca", "-keyout", folder / "ca.key", "-out", self.ca)

    def issue(self, name: str, extension: str = "subjectAltName=IP:127.0.0.1", days: int = 2) -> tuple[Path, Path]:
        """A certificate and its key; with days = -1 it has expired."""
        certificate, key, request, extensions = (self._folder / f"{name}.{end}" for end in ("pem", "key", "csr", "ext"))
        _openssl("req", *self._KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions.write_text(extension)
        _openssl("x509", "-req", "-days", str(days), "-in", request, "-CA", self.ca, "-CAkey", self._folder / "ca.key",
                 "-CAcreateserial", "-extfile", extensions, "-out", certificate)
        return certificate, key


# NATS: secrets


def _commit_five_more(tenant) -> int:
    """Commits the rows 6 to 10; returns a position after the first: whatever is confirmed from there on confirms it."""
    tenant.commit(6)
    position = tenant.lsn("pg_current_wal_flush_lsn()")
    tenant.commit_each(7, 10)
    return position


@dataclass(frozen=True)
class Secret:
    """What the server is told, what stands in the streamer's file, and what of it must be told to nobody."""

    guard: list[str]
    contents: str
    hidden: str
    account: str | None = None


def _passwords(_folder: Path) -> Iterator[Secret]:
    while True:
        text = secrets.token_hex(12)
        yield Secret([f'authorization {{ users = [ {{ user: streamer, password: "{text}" }} ] }}'], text + "\n", text)


def _tokens(_folder: Path) -> Iterator[Secret]:
    while True:
        text = secrets.token_hex(12)
        yield Secret([f'authorization {{ token: "{text}" }}'], text + "\n", text)


def _seeds(folder: Path) -> Iterator[Secret]:
    while True:
        key = NKey("user", folder)
        yield Secret([f"authorization {{ users = [ {{ nkey: {key.public} }} ] }}"], key.seed + "\n", key.seed)


def _credentials(folder: Path) -> Iterator[Secret]:
    authority = Authority(folder)
    while True:
        user = authority.user()
        yield Secret(authority.guard(), authority.credentials(user), user.seed, authority.account)
        authority.revoke(user)


_KINDS = {"password_file": _passwords, "token_file": _tokens, "nkey_seed_file": _seeds, "credentials_file": _credentials}


def _with_secret(guarded: Guarded, kind: str, file: Path) -> Streamer:
    return guarded.streamer({kind: str(file)} | ({"user": "streamer"} if kind == "password_file" else {}))


def _streaming_with_first(guarded, kind, file):
    """Two secrets of the kind, and a streamer that streams with the first of them in the file."""
    following = _KINDS[kind](guarded.folder)
    first, second = next(following), next(following)
    guarded.admit(*first.guard)
    guarded.start()
    _replace(file, first.contents)
    streamer = _with_secret(guarded, kind, file)
    streamer.setup()
    streamer.start()
    return first, second, streamer


@pytest.mark.parametrize("kind, how", [("password_file", "reload"), ("password_file", "restart"), ("token_file", "reload"),
                                       ("nkey_seed_file", "restart"), ("credentials_file", "reload")])
def test_a_rotated_secret_is_read_again_at_the_reconnect(kind, how, guarded):
    """The same process goes on, and nothing is lost that was committed meanwhile."""
    tenant, file = guarded.tenant, guarded.folder / "secret"
    first, second, streamer = _streaming_with_first(guarded, kind, file)
    tenant.commit_each(1, 10)
    tenant.wait_confirmed()
    _replace(file, second.contents)
    guarded.admit(*second.guard)
    tenant.commit_each(11, 20)
    getattr(guarded, how)()
    tenant.commit_each(21, 30)
    wait_until(lambda: record_entries(streamer, "disconnected from NATS"), 30, "it was put out")
    tenant.wait_confirmed(60)
    streamer.wait_ready()
    _tells_nothing(streamer, first.hidden, second.hidden)
    assert streamer.terminate() == 0
    guarded.require_exact(30, second.account)


@pytest.mark.parametrize("kind", _KINDS)
def test_a_secret_that_is_withdrawn_is_waited_for_until_the_file_holds_the_new_one(kind, guarded):
    """As secrets are rotated: on the server first, in our file a while later. The same process goes on."""
    tenant, file = guarded.tenant, guarded.folder / "secret"
    first, second, streamer = _streaming_with_first(guarded, kind, file)
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    guarded.admit(*second.guard)
    guarded.reload()
    refused_from = _commit_five_more(tenant)
    _waits(streamer, first.hidden)
    assert any("refused the credentials" in entry["error"] for entry in record_entries(streamer, "interrupted, trying again"))
    tenant.wait_free()
    assert tenant.confirmed() < refused_from, "what is not stored is not confirmed"
    _replace(file, second.contents)
    tenant.wait_confirmed(60)
    _tells_nothing(streamer, first.hidden, second.hidden)
    assert streamer.terminate() == 0
    guarded.require_exact(10, second.account)


# Seconds: enough to start and to store something, on a slow machine too.
_LIFETIME = 15


def _with_expiring_token(guarded: Guarded) -> tuple[Authority, NKey, Path, Streamer, int]:
    """A streamer that streams with a JWT of a few seconds, and when it expires."""
    authority = Authority(guarded.folder)
    user, file = authority.user(), guarded.folder / "user.creds"
    guarded.admit(*authority.guard())
    guarded.start()
    _replace(file, authority.credentials(user))
    streamer = guarded.streamer({"credentials_file": str(file)})
    streamer.setup()
    expires = int(time.time()) + _LIFETIME
    _replace(file, authority.credentials(user, expires))
    streamer.start()
    guarded.tenant.commit_each(1, 5)
    guarded.tenant.wait_confirmed()
    return authority, user, file, streamer, expires


def _put_out_at(streamer: Streamer, expires: int) -> None:
    wait_until(lambda: record_entries(streamer, "disconnected from NATS"), _LIFETIME + 30, "the server ends the connection")
    assert time.time() >= expires, "the JWT was good until then"


def test_credentials_that_are_renewed_before_they_expire_stream_on(guarded):
    tenant = guarded.tenant
    authority, user, file, streamer, expires = _with_expiring_token(guarded)
    _replace(file, authority.credentials(user, expires + 3600))
    _put_out_at(streamer, expires)
    tenant.commit_each(6, 10)
    tenant.wait_confirmed()
    _tells_nothing(streamer, user.seed)
    assert streamer.terminate() == 0
    guarded.require_exact(10, authority.account)


def test_credentials_that_expire_are_waited_for(guarded):
    tenant = guarded.tenant
    authority, user, file, streamer, expires = _with_expiring_token(guarded)
    _put_out_at(streamer, expires)
    tenant.commit_each(6, 10)
    _waits(streamer, user.seed)
    _replace(file, authority.credentials(user))
    tenant.wait_confirmed(60)
    assert streamer.terminate() == 0
    guarded.require_exact(10, authority.account)


# NATS: rights


@pytest.mark.parametrize("denied, how, status", [
    ('publish: { deny: ["rules.>"] }', "reload", 1), ('publish: { deny: ["$KV.>"] }', "reload", 1),
    ('subscribe: { deny: ["_INBOX.>"] }', "reload", 77), ('publish: { deny: ["$JS.API.>"] }', "restart", 77),
], ids=["events", "record", "inbox", "api"])
def test_a_right_in_nats_that_is_taken_away_stops(denied, how, status, guarded):
    """`status` only asks: it sees what is missing for that."""
    tenant, file = guarded.tenant, guarded.folder / "password"
    secret = secrets.token_hex(12)
    _replace(file, secret)

    def admit(permissions: str = "") -> None:
        guarded.admit(f'authorization {{ users = [ {{ user: streamer, password: "{secret}"{permissions} }} ] }}')

    admit()
    guarded.start()
    streamer = _with_secret(guarded, "password_file", file)
    streamer.setup()
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    admit(f", permissions: {{ {denied} }}")
    getattr(guarded, how)()
    refused_from = _commit_five_more(tenant)
    said = stopped(streamer, 77, "permission_nats")
    assert "not permitted by NATS" in said
    assert ("[permission_nats]" in streamer.command("status", "--json", expect=status).stderr) == (status == 77)
    _tells_nothing(streamer, secret)
    tenant.wait_free()
    assert tenant.confirmed() < refused_from, "what is not stored and recorded is not confirmed"
    admit()
    guarded.reload()
    streamer.start()
    tenant.wait_confirmed()
    assert streamer.terminate() == 0
    guarded.require_exact(10)


# NATS: TLS


def _tls(certificate: Path, key: Path, ca: Path | None = None) -> list[str]:
    """Only over TLS; with an authority, only with a certificate of its."""
    client = [f'ca_file: "{ca}"', "verify: true"] if ca else []
    return ["tls {", f'cert_file: "{certificate}"', f'key_file: "{key}"', *client, "}"]


def test_with_a_certificate_of_its_own_it_streams_over_tls(guarded):
    ours = Certificates(guarded.folder / "ours")
    client, key = ours.issue("client", "extendedKeyUsage=clientAuth")
    guarded.admit(*_tls(*ours.issue("server"), ours.ca))
    guarded.start()
    streamer = guarded.streamer({}, {"ca_file": str(ours.ca), "certificate_file": str(client), "key_file": str(key)})
    streamer.setup()
    streamer.start()
    guarded.tenant.commit_each(1, 5)
    guarded.tenant.wait_confirmed()
    guarded.restart()
    guarded.tenant.commit_each(6, 10)
    guarded.tenant.wait_confirmed()
    assert streamer.terminate() == 0
    guarded.require_exact(10)


def _waits_for(streamer, server: BrokenHandshake) -> None:
    """It tries again and again; and streams once the server is whole."""
    streamer.start(wait=False)
    wait_until(lambda: server.broken >= 3 and record_entries(streamer, "interrupted, trying again"), 30, "it meets the broken server and tries again")
    assert streamer.running
    assert streamer.status()["last_error"]["reason"] == "unreachable"
    server.mend()
    streamer.wait_ready(60)


@pytest.mark.parametrize("how", ["closed", "reset"])
def test_a_nats_server_that_dies_during_the_tls_handshake_is_waited_for(how, guarded):
    ours = Certificates(guarded.folder / "ours")
    guarded.admit(*_tls(*ours.issue("server")))
    guarded.start()
    with closing(BrokenHandshake(guarded.server.port, how)) as server:
        streamer = guarded.streamer({"url": f"tls://127.0.0.1:{server.port}"}, {"ca_file": str(ours.ca)})
        _waits_for(streamer, server)
        guarded.tenant.commit_each(1, 5)
        guarded.tenant.wait_confirmed()
        assert streamer.terminate() == 0
    guarded.require_exact(5)


@pytest.mark.parametrize("why", ["another authority", "another host", "expired"])
def test_a_nats_server_that_tls_does_not_let_us_trust_stops(why, guarded):
    ours, others = Certificates(guarded.folder / "ours"), Certificates(guarded.folder / "others")
    certificates = {
        "another authority": lambda: others.issue("server"),
        "another host": lambda: ours.issue("server", "subjectAltName=DNS:elsewhere.example"),
        "expired": lambda: ours.issue("server", days=-1),
    }
    guarded.admit(*_tls(*certificates[why]()))
    guarded.start()
    streamer = guarded.streamer({}, {"ca_file": str(ours.ca)})
    streamer.start(wait=False)
    _stops(streamer, 78, "tls")
    refused(streamer, 78, "tls", "setup")


@pytest.mark.parametrize("ours_is", ["missing", "another authority's"])
def test_a_client_certificate_that_the_nats_server_does_not_accept_stops(ours_is, guarded):
    """With TLS 1.3 the server says so after the handshake, when the client thinks it is in."""
    ours, others = Certificates(guarded.folder / "ours"), Certificates(guarded.folder / "others")
    client, key = others.issue("client", "extendedKeyUsage=clientAuth")
    guarded.admit(*_tls(*ours.issue("server"), ours.ca))
    guarded.start()
    presented = {"certificate_file": str(client), "key_file": str(key)} if ours_is != "missing" else {}
    streamer = guarded.streamer({}, {"ca_file": str(ours.ca)} | presented)
    streamer.start(wait=False)
    _stops(streamer, 78, "tls")
    refused(streamer, 78, "tls", "setup")


def _over_tls(guarded: Guarded) -> tuple[Certificates, Path, Streamer]:
    """A streamer that streams over TLS, its authority, and the file in which it has it."""
    ours, file = Certificates(guarded.folder / "ours"), guarded.folder / "trusted.pem"
    _replace(file, ours.ca.read_text())
    guarded.admit(*_tls(*ours.issue("server")))
    guarded.start()
    streamer = guarded.streamer({}, {"ca_file": str(file)})
    streamer.setup()
    streamer.start()
    guarded.tenant.commit_each(1, 5)
    guarded.tenant.wait_confirmed()
    return ours, file, streamer


def test_an_authority_that_is_rotated_with_the_nats_servers_certificate_is_read_again_at_the_reconnect(guarded):
    _, file, streamer = _over_tls(guarded)
    others = Certificates(guarded.folder / "others")
    _replace(file, others.ca.read_text())
    guarded.admit(*_tls(*others.issue("server")))
    guarded.restart()
    guarded.tenant.commit_each(6, 10)
    guarded.tenant.wait_confirmed(60)
    assert streamer.terminate() == 0
    guarded.require_exact(10)


def test_a_nats_server_that_comes_back_with_a_certificate_of_another_authority_stops(guarded):
    ours, _, streamer = _over_tls(guarded)
    others = Certificates(guarded.folder / "others")
    guarded.admit(*_tls(*others.issue("server")))
    guarded.restart()
    guarded.tenant.commit_each(6, 10)
    _stops(streamer, 78, "tls")
    guarded.admit(*_tls(*ours.issue("again")))
    guarded.restart()
    streamer.start()
    guarded.tenant.wait_confirmed()
    assert streamer.terminate() == 0
    guarded.require_exact(10)


# PostgreSQL: passwords and rights


class Role:
    """A role of the tenant's with REPLICATION, whom PostgreSQL asks for its password; the publication is made."""

    def __init__(self, tenant):
        self._tenant = tenant
        self.name = f"{tenant.name}_role"
        self.password = secrets.token_hex(12)
        self.run("CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{password}'")
        self.admit("scram-sha-256")

    @property
    def conninfo(self) -> str:
        """Without the password."""
        return self._tenant.conninfo.replace("user=postgres", f"user={self.name}")

    def run(self, sql: str) -> None:
        """Executes a statement in which {role}, {password} and {database} are the role's."""
        self._tenant.run(sql.format(role=self.name, password=self.password, database=self._tenant.name))

    def admit(self, method: str, kind: str = "host") -> None:
        """Makes this the line of pg_hba.conf that decides about the role, and waits until it does."""
        hba = Path(self._tenant.value("SHOW hba_file"))
        others = [line for line in hba.read_text().splitlines() if self.name not in line.split()]
        hba.write_text("\n".join([f"{kind} all {self.name} 127.0.0.1/32 {method}", *others]) + "\n")
        _reload(self._tenant)


def _reload(tenant) -> None:
    """Makes PostgreSQL read its configuration again; connections made from now on see it."""
    before = tenant.value("SELECT pg_conf_load_time()")
    tenant.run("SELECT pg_reload_conf()")
    wait_until(lambda: tenant.value("SELECT pg_conf_load_time()") > before, 30, "PostgreSQL has read its configuration again")


@pytest.mark.parametrize("taken, given, code, reason", [
    ("ALTER ROLE {role} NOREPLICATION", "ALTER ROLE {role} REPLICATION", 77, "permission_postgres"),
    ("REVOKE CONNECT ON DATABASE {database} FROM PUBLIC", "GRANT CONNECT ON DATABASE {database} TO {role}", 77,
     "permission_postgres"),
    ("ALTER ROLE {role} NOLOGIN", "ALTER ROLE {role} LOGIN", 78, "credentials"),
    ("reject", "scram-sha-256", 78, "credentials"),
], ids=["replication", "connect", "login", "pg_hba"])
def test_a_right_in_postgres_that_is_taken_away_stops(taken, given, code, reason, single_pair, tenants):
    tenant = tenants(single_pair, overrides=_SOON)
    role = Role(tenant)
    streamer = tenant.another(conninfo=f"{role.conninfo} password={role.password}")
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    change = role.admit if " " not in taken else role.run
    change(taken)
    tenant.terminate_holder()
    tenant.commit_each(6, 10)
    _stops(streamer, code, reason, role.password)
    change(given)
    streamer.start()
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 11))
    assert streamer.terminate() == 0


@pytest.mark.parametrize("kind", ["passfile", "url_file"])
def test_a_rotated_password_of_postgres_is_read_again_at_the_reconnect(kind, single_pair, tenants):
    tenant = tenants(single_pair, overrides=_SOON)
    role = Role(tenant)
    file = tenant.servers.folder / f"{tenant.name}-secret"

    def write() -> None:
        _replace(file, f"*:*:*:*:{role.password}\n" if kind == "passfile" else f"{role.conninfo} password={role.password}\n")

    write()
    if kind == "passfile":
        streamer = tenant.another(conninfo=f"{role.conninfo} passfile={file}")
    else:
        streamer = tenant.another({"source": {"url_file": str(file)}})
        # Only without it the file is looked at.
        lines = streamer.config.read_text().splitlines(keepends=True)
        streamer.config.write_text("".join(line for line in lines if not line.startswith('"url" = "host=')))
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    old, role.password = role.password, secrets.token_hex(12)
    write()
    role.run("ALTER ROLE {role} PASSWORD '{password}'")
    tenant.terminate_holder()
    tenant.commit_each(6, 10)
    tenant.wait_confirmed(60)
    _tells_nothing(streamer, old, role.password)
    tenant.require_exact(*range(1, 11))
    assert streamer.terminate() == 0


@pytest.mark.parametrize("taken", ["ALTER ROLE {role} PASSWORD '{password}'", "ALTER ROLE {role} PASSWORD '{password}' VALID UNTIL 'yesterday'"],
                         ids=["rotated", "expired"])
@pytest.mark.parametrize("former", ["the former one", "none", "half a file"])
def test_a_password_of_postgres_that_worked_is_waited_for_until_the_file_has_the_new_one(taken, former, single_pair, tenants):
    """On the server first, in the file a while later, which may be without one in between. The same process goes on."""
    tenant = tenants(single_pair, overrides=_SOON)
    role = Role(tenant)
    file = tenant.servers.folder / f"{tenant.name}-secret"
    _replace(file, f"{role.conninfo} passfile=/nonexistent password={role.password}\n")
    streamer = tenant.another({"source": {"url_file": str(file)}})
    # Only without it the file is looked at.
    lines = streamer.config.read_text().splitlines(keepends=True)
    streamer.config.write_text("".join(line for line in lines if not line.startswith('"url" = "host=')))
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    old, role.password = role.password, secrets.token_hex(12)
    role.run(taken)
    if former == "none":
        _replace(file, f"{role.conninfo} passfile=/nonexistent\n")
    elif former == "half a file":
        _replace(file, f"{role.conninfo} password='{role.password[:5]}\n")
    tenant.terminate_holder()
    tenant.commit_each(6, 10)

    def tries() -> list[dict]:
        return [entry for entry in record_entries(streamer, "interrupted, trying again") if "worked before" in entry["hint"]]

    wait_until(lambda: len(tries()) >= 3, 60, "it tries again")
    assert streamer.running
    if "yesterday" in taken:
        role.run("ALTER ROLE {role} VALID UNTIL 'infinity'")
    _replace(file, f"{role.conninfo} password={role.password}\n")
    tenant.wait_confirmed(60)
    _tells_nothing(streamer, old, role.password)
    tenant.require_exact(*range(1, 11))
    assert streamer.terminate() == 0


# PostgreSQL: TLS. The builds of 16 and 18 from PyPI have none, Debian's 15 has.


def _present(tenant, certificate: Path, key: Path, ca: Path) -> None:
    """Makes PostgreSQL present this certificate, and ask for one of the authority's where pg_hba.conf wants one."""
    data = tenant.postgres.data
    for source, name in ((certificate, "tls.pem"), (key, "tls.key"), (ca, "tls-ca.pem")):
        shutil.copyfile(source, data / name)
        (data / name).chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(data / name, "postgres", "postgres")
    for setting, value in (("ssl_cert_file", "tls.pem"), ("ssl_key_file", "tls.key"), ("ssl_ca_file", "tls-ca.pem"),
                           ("ssl", "on")):
        tenant.run(f"ALTER SYSTEM SET {setting} = '{value}'")
    _reload(tenant)
    wait_until(lambda: tenant.value("SHOW ssl") == "on", 10, "PostgreSQL speaks TLS")


def _verifying(tenant, ca: Path, host: str = "host=127.0.0.1", more: str = "") -> Streamer:
    conninfo = tenant.conninfo.replace("host=127.0.0.1", host)
    return tenant.another(conninfo=f"{conninfo} sslmode=verify-full sslrootcert={ca}{more}")


def test_a_postgres_without_tls_is_refused_where_tls_is_demanded(single_pair, tenants):
    tenant = tenants(single_pair, overrides=_SOON)
    tenant.run("ALTER SYSTEM SET ssl = off")
    _reload(tenant)
    streamer = tenant.another(conninfo=f"{tenant.conninfo} sslmode=require")
    streamer.start(wait=False)
    _stops(streamer, 78, "tls")


@pytest.mark.parametrize("how", ["closed", "reset", "refused"])
def test_a_postgres_that_dies_during_the_tls_handshake_is_waited_for(how, tenants):
    tenant = tenants(PAIRS[0], overrides=_SOON)
    ours = Certificates(tenant.servers.folder / f"{tenant.name}-ours")
    _present(tenant, *ours.issue("server"), ours.ca)
    with closing(BrokenHandshake(tenant.postgres.port, how)) as server:
        streamer = tenant.another(conninfo=f"{tenant.conninfo.replace(f'port={tenant.postgres.port}', f'port={server.port}')} sslmode=require")
        _waits_for(streamer, server)
        tenant.commit_each(1, 5)
        tenant.wait_confirmed()
        assert streamer.terminate() == 0
    tenant.require_exact(*range(1, 6))


@pytest.mark.parametrize("why", ["another authority", "another host", "expired", "a key that is not there"])
def test_a_postgres_that_tls_does_not_let_us_trust_stops(why, tenants):
    tenant = tenants(PAIRS[0], overrides=_SOON)
    folder = tenant.servers.folder
    ours, others = Certificates(folder / f"{tenant.name}-ours"), Certificates(folder / f"{tenant.name}-others")
    certificates = {
        "another authority": lambda: others.issue("server"),
        "another host": lambda: ours.issue("server", "subjectAltName=DNS:elsewhere.example"),
        "expired": lambda: ours.issue("server", days=-1),
        "a key that is not there": lambda: ours.issue("server"),
    }
    _present(tenant, *certificates[why](), ours.ca)
    more = f" sslcert={ours.ca} sslkey={folder}/absent.key" if why == "a key that is not there" else ""
    streamer = _verifying(tenant, ours.ca, more=more)
    streamer.start(wait=False)
    _stops(streamer, 78, "tls")
    refused(streamer, 78, "tls", "setup")


def test_a_client_certificate_is_what_postgres_lets_in_and_without_it_it_stops(tenants):
    tenant = tenants(PAIRS[0], overrides=_SOON)
    role = Role(tenant)
    ours = Certificates(tenant.servers.folder / f"{tenant.name}-ours")
    _present(tenant, *ours.issue("server"), ours.ca)
    role.admit("cert", "hostssl")
    certificate, key = ours.issue(role.name, "extendedKeyUsage=clientAuth")
    key.chmod(0o600)
    verifying = f"{role.conninfo} sslmode=verify-full sslrootcert={ours.ca}"
    without = tenant.another(conninfo=verifying)
    without.start(wait=False)
    _stops(without, 78, "credentials")
    streamer = tenant.another(conninfo=f"{verifying} sslcert={certificate} sslkey={key}")
    streamer.start()
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 6))
    assert streamer.terminate() == 0


def test_an_authority_that_is_rotated_with_postgres_certificate_is_read_again_at_the_reconnect(tenants):
    """And when the certificate is rotated and the authority is not, it stops."""
    tenant = tenants(PAIRS[0], overrides=_SOON)
    folder = tenant.servers.folder
    ours, others = Certificates(folder / f"{tenant.name}-ours"), Certificates(folder / f"{tenant.name}-others")
    trusted = folder / f"{tenant.name}-trusted.pem"
    _replace(trusted, ours.ca.read_text())
    _present(tenant, *ours.issue("server"), ours.ca)
    streamer = _verifying(tenant, trusted)
    streamer.start()
    encrypted = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_replication USING (pid) WHERE ssl AND pid = %s"
    assert tenant.value(encrypted, (tenant.holder(),)) == 1
    tenant.commit_each(1, 5)
    tenant.wait_confirmed()
    _replace(trusted, others.ca.read_text())
    _present(tenant, *others.issue("server"), others.ca)
    tenant.terminate_holder()
    tenant.commit_each(6, 10)
    tenant.wait_confirmed()
    _present(tenant, *ours.issue("again"), ours.ca)
    tenant.terminate_holder()
    tenant.commit_each(11, 15)
    _stops(streamer, 78, "tls")
    _replace(trusted, ours.ca.read_text())
    streamer.start()
    tenant.wait_confirmed()
    tenant.require_exact(*range(1, 16))
    assert streamer.terminate() == 0
