"""`slotstream check` in a test: what it finds, and a person who carries out each printed fix to the letter."""

import json
import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable

from administrator import Administrator
from remedies import follow
from servers.postgres import Postgres
from servers.tools import wait_until
from streamer import Streamer, toml
from tenants import Tenant

# Flags of `nats stream edit`, as natscli 0.5 has them, and what they set.
_EDITS = {
    "max-age": "max_age", "dupe-window": "duplicate_window", "max-bytes": "max_bytes", "max-msgs": "max_msgs", "replicas": "num_replicas",
    "max-msg-size": "max_msg_size", "max-msgs-per-subject": "max_msgs_per_subject", "discard": "discard", "subjects": "subjects",
}
_SWITCHES = {
    "deny-delete": "deny_delete", "deny-purge": "deny_purge", "allow-direct": "allow_direct", "allow-fast": "allow_batched",
    "allow-batch": "allow_atomic", "allow-rollup": "allow_rollup_hdrs", "discard-per-subject": "discard_new_per_subject",
}
_SQL = re.compile(r"^(ALTER|BEGIN|CREATE|DROP|REVOKE|ROLLBACK|SELECT)\b.*;( +-- then (?P<then>.*))?$")
_NATS_SERVER = re.compile(r"^(?P<lines>.*?) +# nats-server's configuration; then: nats-server --signal reload$")
_SETTING = re.compile(r"^[a-z_]+\.[a-z_.]+(\.\".*\")? = ")


def findings(streamer: Streamer, *options: str) -> list[dict]:
    """What `check` finds."""
    return json.loads(streamer.command("check", "--json", *options, expect=None).stdout)["findings"]


def found(streamer: Streamer, identifier: str, about: str = "", *options: str) -> list[dict]:
    """The findings of this id whose object or message has these words."""
    return [each for each in findings(streamer, *options)
            if each["id"] == identifier and (about in each["object"] or about in each["message"])]


class Person:
    """Pastes what is printed: SQL into psql, commands into a shell, settings into the configuration, lines into nats-server's."""

    def __init__(self, tenant: Tenant, streamer: Streamer | None = None, place: Callable[[str], None] | None = None):
        """`place`: puts lines into nats-server's configuration, where the finding says; without it, at its end."""
        self.tenant = tenant
        self.streamer = streamer or tenant.streamer
        self.place = place or self._append

    def carry_out(self, fix: str) -> None:
        """Does what it says, whatever its form is."""
        assert fix, "there is nothing to paste"
        if sql := _SQL.match(fix):
            self.psql(fix)
            if sql["then"] == "restart PostgreSQL":
                self.tenant.postgres.restart("fast")
            else:
                assert sql["then"] is None, fix
        elif lines := _NATS_SERVER.match(fix):
            self.place(lines["lines"])
            self.reload_nats()
        elif _SETTING.match(fix):
            self.configure(tomllib.loads(fix))
        elif fix.startswith(("nats ", "slotstream ", "chmod ", "psql ", "createdb ", "ulimit ")):
            for command in fix.split(" && "):
                self._shell(command)
        elif fix.startswith("1. ") or "`slotstream " in fix:
            follow(self.streamer, self.tenant.name, fix)
        else:
            raise AssertionError(f"nobody can paste this: {fix}")

    def psql(self, text: str) -> None:
        """As a superuser of the tenant's database, who stops at the first error."""
        postgres: Postgres = self.tenant.postgres
        done = subprocess.run([postgres.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", self.tenant.conninfo], input=text,
                              capture_output=True, text=True)
        assert done.returncode == 0, f"{text}: {done.stderr}"

    def configure(self, values: dict) -> None:
        """Sets keys in the streamer's configuration."""
        merged = _merged(tomllib.loads(self.streamer.config.read_text()), values)
        self.streamer.config.write_text(toml(_tables(merged)))

    def reload_nats(self) -> None:
        """`nats-server --signal reload`; returns when it has done so."""
        (server,) = self.tenant.nats.servers
        before = server.log.read_text().count("Reloaded server configuration")
        subprocess.run([server.binary, "--signal", f"reload={server.folder / 'pid'}"], check=True, capture_output=True)
        wait_until(lambda: server.log.read_text().count("Reloaded server configuration") > before, 20, f"it is reloaded: {server.log}")

    def _append(self, lines: str) -> None:
        (server,) = self.tenant.nats.servers
        with server.config.open("a") as config:
            config.write(lines + "\n")

    def _shell(self, command: str) -> None:
        words = shlex.split(command)
        if words[0] == "nats":
            nats_command(self.tenant.administrator, words[1:])
        elif words == ["slotstream", "run"]:
            self.streamer.start()
        elif words[0] == "slotstream":
            self.streamer.command(*words[1:])
        elif words[0] == "ulimit":
            # Of the shell in which the program is started.
            self.streamer.prefix = ["sh", "-c", f'{command}; exec "$@"', "sh"]
        else:
            postgres = self.tenant.postgres
            server = {"PGHOST": "127.0.0.1", "PGPORT": str(postgres.port), "PGUSER": "postgres", "PATH": f"{postgres.bin}:{os.environ['PATH']}"}
            done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=os.environ | server)
            assert done.returncode == 0, f"{command}: {done.stderr}"


def nats_command(administrator: Administrator, words: list[str]) -> None:
    """What natscli does for these words; another flag than it has is refused."""
    match words:
        case ["stream", "edit", stream, *flags]:
            administrator.update(stream, **dict(_edit(flag) for flag in flags))
        case ["stream", "rm", stream]:
            administrator.delete(stream)
        case ["consumer", "rm", stream, consumer]:
            administrator.api(f"CONSUMER.DELETE.{stream}.{consumer}")
        case _:
            raise AssertionError(f"nats has no such command: {words}")


def _edit(flag: str) -> tuple[str, object]:
    name, _, value = flag.removeprefix("--").partition("=")
    if not value:
        return _SWITCHES[name.removeprefix("no-")], not name.startswith("no-")
    key = _EDITS[name]
    if key in ("max_age", "duplicate_window"):
        return key, int(float(value.removesuffix("s")) * 1e9)
    if key == "subjects":
        return key, value.split(",")
    return key, value if key == "discard" else int(value)


def _merged(old: dict, new: dict) -> dict:
    return old | {key: _merged(old.get(key, {}), value) if isinstance(value, dict) else value for key, value in new.items()}


def _tables(document: dict, path: str = "") -> dict[str, dict]:
    """A document as `toml` takes it: a table by its path."""
    plain = {key: value for key, value in document.items() if not isinstance(value, dict)}
    tables = {path: plain} if path and plain else {}
    for key, value in document.items():
        if isinstance(value, dict):
            tables |= _tables(value, f"{path}.{key}" if path else key)
    return tables
