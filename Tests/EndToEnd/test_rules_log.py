"""The log and its warnings: its format from the first line to the last, numbers as numbers, secrets that lie open, connections that others could read."""

import json
import socket
import subprocess
import sys

from servers.namespace import NetworkNamespace
from servers.nats import NatsServer
from servers.tools import dying_with_us, free_port, wait_until
from tenants import record_entries, stopped, tenant_maker, tenants  # noqa: F401
from test_rules_credentials import Certificates, _present  # noqa: F401

_OPEN_SECRET = "every user of this machine can read a secret"
_EXPOSED = "the connection to {} leaves this machine, and others could read or alter the data"


def _run(streamer, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """`slotstream run`, to its end."""
    return subprocess.run([str(streamer.binary), "run", "--config", str(streamer.config), *arguments], cwd=streamer.folder,
                          env=streamer.environment | environment, capture_output=True, text=True, timeout=60)


# The format, also where nothing streams yet or any more


def test_a_wrong_configuration_is_logged_as_all_else_is(one_pair, tenants):
    streamer = tenants(one_pair, setup=False).streamer
    done = _run(streamer, "--set", "source.slot=A", SLOTSTREAM_SUORCE_SLOT="b")
    assert done.returncode == 78 and not done.stdout
    (entry,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (entry["level"], entry["message"], entry["reason"]) == ("critical", "stopped", "configuration"), entry
    assert entry["error"] == "the configuration has 2 problems" and "slotstream config" in entry["remedy"]
    assert len(entry["problems"]) == 2 and all(isinstance(problem, str) for problem in entry["problems"])
    assert "did you mean SLOTSTREAM_SOURCE_SLOT?" in entry["problems"][0] and "source.slot" in entry["problems"][1]
    # For people: a line each.
    done = _run(streamer, "--set", "source.slot=A", "--set", "log.format=text")
    assert done.returncode == 78 and done.stderr.startswith("slotstream: the configuration has 1 problem:\n  "), done.stderr


def test_an_address_that_cannot_be_had_is_logged_as_all_else_is(one_pair, tenants):
    tenant = tenants(one_pair)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        streamer = tenant.another({"http": {"listen": address}})
        done = _run(streamer)
    assert done.returncode == 78
    entries = [json.loads(line) for line in done.stderr.splitlines()]
    last = entries[-1]
    assert (last["message"], last["reason"]) == ("stopped", "configuration") and address in last["error"], last


def test_numbers_in_the_log_are_numbers_and_texts_are_texts(pair, tenants):
    tenant = tenants(pair)
    tenant.streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    tenant.streamer.start()
    (first, second) = record_entries(tenant.streamer, "streaming")
    assert (first["last_sequence"], second["last_sequence"], second["timeline"]) == (0, 3, 1)
    assert isinstance(second["start_lsn"], str) and isinstance(second["last_stored"], str)
    (versions,) = {entry["version"] for entry in record_entries(tenant.streamer, "connected to PostgreSQL")}
    assert isinstance(versions, str), "as nats-server's, which is no number"
    assert tenant.streamer.terminate() == 0
    assert [entry["retained"] for entry in record_entries(tenant.streamer, "stopping: waiting for acks")] == [0, 0]


# Addresses


def test_a_port_alone_listens_on_every_address(one_pair, tenants):
    port = free_port()
    tenant = tenants(one_pair, overrides={"http": {"listen": f":{port}"}})
    streamer = tenant.streamer
    streamer.http = f"127.0.0.1:{port}"
    streamer.start()
    assert record_entries(streamer, "HTTP listens")[0]["address"] == f"0.0.0.0:{port}"
    assert "live" in streamer.command("health").stdout


# Secrets


def test_a_file_with_a_secret_that_everybody_can_read_is_warned_of(one_pair, tenants):
    tenant = tenants(one_pair)
    url = tenant.servers.folder / f"{tenant.name}-url"
    url.write_text(tenant.conninfo)
    streamer = tenant.another({"source": {"url_file": str(url)}})
    # Only without it the file is looked at.
    lines = streamer.config.read_text().splitlines(keepends=True)
    streamer.config.write_text("".join(line for line in lines if not line.startswith('"url" = "host=')))
    url.chmod(0o644)
    streamer.start()
    (entry,) = record_entries(streamer, _OPEN_SECRET)
    assert (entry["level"], entry["file"], entry["key"]) == ("warning", str(url), "source.url_file"), entry
    assert str(url) in streamer.command("config").stderr
    assert streamer.terminate() == 0
    tenant.wait_free()
    # As it says.
    subprocess.run(entry["remedy"].split(), check=True)
    streamer.start()
    assert len(record_entries(streamer, _OPEN_SECRET)) == 1 and not streamer.command("config").stderr
    assert streamer.terminate() == 0


def test_a_password_in_a_configuration_that_everybody_can_read_is_warned_of(one_pair, tenants):
    tenant = tenants(one_pair)
    streamer = tenant.another(conninfo=f"{tenant.conninfo} password=s3cret")
    streamer.config.chmod(0o644)
    said = streamer.command("config").stderr
    assert str(streamer.config) in said and "source.url" in said and "s3cret" not in said
    streamer.config.chmod(0o640)
    assert not streamer.command("config").stderr


# Connections to other hosts


# Forwards between two addresses, each HOST:PORT or the path of a Unix socket.
_FORWARD = """
import socket, sys, threading
def split(text):
    host, _, port = text.rpartition(":")
    return (host, int(port)) if host else text
def family(address):
    return socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
def pump(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
    except OSError:
        pass
    for one in (a, b):
        try:
            one.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
here, there = map(split, sys.argv[1:])
server = socket.create_server(here, family=family(here))
print("listens", flush=True)
while True:
    client, _ = server.accept()
    other = socket.socket(family(there))
    other.connect(there)
    threading.Thread(target=pump, args=(client, other), daemon=True).start()
    threading.Thread(target=pump, args=(other, client), daemon=True).start()
"""
# One of those that are kept for documentation: on no loopback.
_ELSEWHERE = "192.0.2.1"


class Elsewhere:
    """A network namespace in which both servers have an address that is on no loopback: PostgreSQL at port 5432, and a nats-server of its own."""

    def __init__(self, tenant, version: str):
        self.tenant = tenant
        self._namespace = NetworkNamespace()
        self._version = version
        self._processes: list[subprocess.Popen] = []

    def __enter__(self) -> "Elsewhere":
        self.prefix = self._namespace.__enter__().prefix
        subprocess.run([*self.prefix, "ip", "addr", "add", f"{_ELSEWHERE}/32", "dev", "lo"], check=True)
        folder = self.tenant.servers.folder / f"{self.tenant.name}-elsewhere"
        self._nats = NatsServer(self._version, folder, prefix=self.prefix)
        config = self._nats.config.read_text()
        self._plain = config.replace("127.0.0.1", _ELSEWHERE)
        # Files reach into the namespace, and PostgreSQL speaks TLS over TCP only.
        between = folder / "postgres"
        self._forward([], between, f"127.0.0.1:{self.tenant.postgres.port}")
        self._forward(self.prefix, f"{_ELSEWHERE}:5432", between)
        return self

    def _forward(self, prefix: list[str], here, there) -> None:
        process = subprocess.Popen([*dying_with_us(), *prefix, sys.executable, "-c", _FORWARD, str(here), str(there)],
                                   stdout=subprocess.PIPE, text=True)
        self._processes.append(process)
        assert process.stdout.readline() == "listens\n"

    def start_nats(self, *lines: str) -> None:
        """With these lines in its configuration, in place of the one that runs."""
        if self._nats.running:
            self._nats.kill()
        self._nats.config.write_text(self._plain + "".join(f"{line}\n" for line in lines))
        begun = self._nats.log.read_text().count(_READY) if self._nats.log.exists() else 0
        self._nats.launch()
        wait_until(lambda: self._nats.log.read_text().count(_READY) > begun, 30, f"nats-server is ready: {self._nats.log}")

    def streams(self, sslmode: str, scheme: str, tls: dict[str, str] | None = None) -> list[dict]:
        """Runs a streamer inside until it has streamed twice; returns its warnings about connections."""
        tenant = self.tenant
        conninfo = tenant.conninfo.replace("host=127.0.0.1", f"host={_ELSEWHERE}").replace(f"port={tenant.postgres.port}", "port=5432")
        overrides = {"transport.nats": {"url": f"{scheme}://{_ELSEWHERE}:{self._nats.port}"}, "http": {"listen": ""}}
        streamer = tenant.another(overrides | ({"transport.nats.tls": tls} if tls else {}), conninfo=f"{conninfo} {sslmode}")
        # Where there is no file with authorities.
        streamer.environment |= {"HOME": str(streamer.folder)}
        streamer.prefix = self.prefix
        streamer.start(wait=False)
        for count in (1, 2):
            wait_until(lambda: len(record_entries(streamer, "streaming")) >= count, 30, f"it streams: {streamer.log}")
            tenant.terminate_holder()
        assert streamer.terminate() == 0
        tenant.wait_free()
        return [entry for server in ("PostgreSQL", "NATS") for entry in record_entries(streamer, _EXPOSED.format(server))]

    def __exit__(self, *_) -> None:
        if self._nats.running:
            self._nats.kill()
        for process in self._processes:
            process.kill()
            process.wait()
        self._namespace.__exit__()


_READY = "Server is ready"


def test_a_connection_to_another_host_without_verified_tls_is_warned_of(tenants, oldest_pair):
    """To both servers, once each; not where the server's certificate is verified, nor over the loopback."""
    tenant = tenants(oldest_pair, setup=False)
    ours = Certificates(tenant.servers.folder / f"{tenant.name}-ours")
    certificate, key = ours.issue("server", f"subjectAltName=IP:{_ELSEWHERE}")
    _present(tenant, certificate, key, ours.ca)
    with Elsewhere(tenant, oldest_pair.nats) as elsewhere:
        elsewhere.start_nats()
        postgres, nats = elsewhere.streams("sslmode=disable", "nats")
        assert (postgres["level"], postgres["why"], nats["level"], nats["why"]) == ("warning", "the connection is not encrypted") * 2
        assert "sslmode=verify-full" in postgres["remedy"] and "tls://" in nats["remedy"]
        elsewhere.start_nats("tls {", f'cert_file: "{certificate}"', f'key_file: "{key}"', "}")
        (postgres,) = elsewhere.streams("sslmode=require", "tls", {"ca_file": str(ours.ca)})
        assert postgres["why"] == "the server's certificate is not verified"
        assert elsewhere.streams(f"sslmode=verify-full sslrootcert={ours.ca}", "tls", {"ca_file": str(ours.ca)}) == []


def test_a_connection_over_the_loopback_is_not_warned_of(one_pair, tenants):
    tenant = tenants(one_pair)
    tenant.streamer.start()
    # The log's own thread writes it.
    wait_until(lambda: record_entries(tenant.streamer, "streaming"), 30, "it streams")
    assert not [entry for server in ("PostgreSQL", "NATS") for entry in record_entries(tenant.streamer, _EXPOSED.format(server))]
    assert tenant.streamer.terminate() == 0
