"""The README's commands on somebody's own database, to the letter: its files, its block of commands, its event."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from servers.nats import Nats
from servers.postgres import Postgres
from servers.tools import CHECKOUT, free_port, postgres_bin, slotstream_binary, unconfiguring_environment, wait_until

_README = (CHECKOUT / "README.md").read_text()
_OWN = _README.split("## Run it on your own database")[1].split("\n## ")[0]
_SECRETS = {"postgres.url": "a password for PostgreSQL", "nats.password": "a password for NATS"}


def _block(kind: str, text: str) -> str:
    return re.search(rf"```{kind}\n(.*?)```", text, re.DOTALL).group(1)


@pytest.fixture
def postgres(single_pair, folder) -> Iterator[Postgres]:
    """A server that wants passwords over TCP, with the README's two tables in its database."""
    server = Postgres(single_pair.postgres, folder / "postgres")
    try:
        server.create()
        server.run("CREATE TABLE customers (id INT PRIMARY KEY, email TEXT); CREATE TABLE invoices (id INT PRIMARY KEY, total NUMERIC)")
        (server.data / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        server.run("SELECT pg_reload_conf()")
        yield server
    finally:
        server.close()


@pytest.fixture
def nats(single_pair, folder) -> Iterator[Nats]:
    """A server that lets in the user of the page on setting up, with the rights that are printed there, and nobody else."""
    page = (CHECKOUT / "deploy" / "docs" / "setup.md").read_text()
    accounts = re.search(r"```\n(accounts \{.*?)```", page, re.DOTALL).group(1)
    nats = Nats(single_pair.nats, folder / "nats")
    server = nats.servers[0]
    server.config.write_text(server.config.read_text() + accounts.replace('"…"', f'"{_SECRETS["nats.password"]}"'))
    try:
        server.launch()
        wait_until(lambda: socket.create_connection(("127.0.0.1", server.port), timeout=1).close() is None, 30,
                   f"nats-server listens: {server.log}")
        yield nats
    finally:
        nats.close()


def _write_files(work: Path, postgres: Postgres, nats: Nats) -> None:
    """Those that the README has the reader write; the addresses are these servers'."""
    text = _block("toml", _OWN).replace("localhost:4222", f"localhost:{nats.servers[0].port}")
    (work / "slotstream.toml").write_text(text)
    files = dict(re.findall(r'= "([^"]+)" +# a file: (.*)', text))
    assert files.keys() == _SECRETS.keys()
    for name, content in files.items():
        # As a URL has a blank.
        password = _SECRETS[name].replace(" ", "%20") if "://" in content else _SECRETS[name]
        written = content.replace("localhost/", f"localhost:{postgres.port}/").replace("PASSWORD", password)
        (work / name).write_text(written + "\n")
        (work / name).chmod(0o600)


def test_the_commands_for_a_database_of_ones_own_show_its_first_change(single_pair, postgres, nats, folder, report):
    commands = _block("sh", _OWN)
    assert len(commands.splitlines()) == 6
    work = folder / "work"
    work.mkdir()
    (work / "sql").symlink_to(CHECKOUT / "sql")
    _write_files(work, postgres, nats)
    environment = unconfiguring_environment() | {
        "PATH": f"{slotstream_binary().parent}:{postgres_bin('15')}:{os.environ['PATH']}", "PGHOST": str(postgres.folder),
        "PGPORT": str(postgres.port), "PGUSER": "postgres", "SLOTSTREAM_HTTP_LISTEN": f"127.0.0.1:{free_port()}"}
    # In a session of its own there is no terminal, and psql asks on standard input for the password.
    shell = subprocess.Popen(["bash", "-e", "-c", commands + "kill $!\nwait $!"], cwd=work, env=environment, text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    socket_only = f"host={postgres.folder} port={postgres.port} user=postgres dbname=shop"
    try:
        shell.stdin.write(f"{_SECRETS['postgres.url']}\n" * 2)
        shell.stdin.close()
        with psycopg.connect(socket_only, autocommit=True) as connection:
            def is_streaming() -> bool:
                assert shell.poll() is None, shell.stdout.read()
                return connection.execute("SELECT active FROM pg_replication_slots WHERE slot_name = 'shop'").fetchone() == (True,)

            wait_until(is_streaming, 60, "the streamer holds the slot")
            connection.execute("INSERT INTO customers VALUES (1, 'ann@example.com')")
        said = shell.stdout.read()
        assert shell.wait(100) == 0, said + (work / "slotstream.log").read_text()
    finally:
        if shell.poll() is None:
            os.killpg(shell.pid, 9)
    with pytest.raises(psycopg.OperationalError, match="no password"):
        psycopg.connect(f"host=127.0.0.1 port={postgres.port} user=slotstream dbname=shop", passfile="/nonexistent")
    assert re.search(r"#1 +Customers INSERT +1 +email=ann@example.com", said.splitlines()[-1]), said
    # The same event as programs read it.
    told = subprocess.run([str(slotstream_binary()), "tail", "--from", "first", "--count", "1", "--json"], cwd=work, env=environment,
                          capture_output=True, text=True, timeout=60)
    shown = json.loads(re.search(r"```\n(\{\"id\".*?)```", _README, re.DOTALL).group(1))
    event = json.loads(told.stdout)
    assert list(event) == list(shown)
    for member in ("entity", "entity_type", "entity_id", "operation", "source"):
        assert event[member] == shown[member]
    log = (work / "slotstream.log").read_text()
    assert not any(secret in said + log for secret in _SECRETS.values())
    report(f"{single_pair}: the README's six commands, with passwords and an account, show the first change of somebody's own table")
