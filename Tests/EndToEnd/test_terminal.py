"""Every command in a terminal of 80 columns, on a pipe, with --json, with both servers down and with wrong arguments."""

import json
import re
import subprocess

import pytest

from conftest import PAIRS
from servers.tools import free_port
from tenants import streamed, tenant_maker, tenants  # noqa: F401
from terminal import COLUMNS, Terminal, in_terminal

# Each command that ends by itself, with arguments with which it does its work on a stream of a few events, and its exit code there.
_COMMANDS = {
    "setup": (["setup", "--dry-run"], 0),
    "status": (["status"], 1),
    "check": (["check"], 0),
    "tail": (["tail", "--from", "first", "--no-follow"], 0),
    "slot list": (["slot", "list"], 0),
    "slot create": (["slot", "create"], 0),
    "slot advance": (["slot", "advance"], 0),
    "mend": (["mend", "--dry-run"], 0),
    "decode": (["decode"], 0),
    "backfill": (["backfill", "--list"], 0),
    "replay": (["replay", "--dry-run"], 0),
    "verify": (["verify"], 0),
    "rewind": (["rewind", "--dry-run"], 78),
    "skip": (["skip", "--at", "0/1", "--by", "ann"], 64),
    "health": (["health"], 1),
    "config": (["config"], 0),
}
# Those whose lines are laid out for the terminal; all others print sentences, which a terminal breaks and a mouse copies whole.
_LAID_OUT = ["status", "tail", "slot list", "backfill"]
_JSON = ["status", "check", "tail", "slot list", "slot advance", "mend", "backfill", "replay", "verify", "config"]
# With both servers away.
_DOWN = {name: 69 for name in _COMMANDS} | {"health": 1, "config": 0}


def _run(streamer, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(streamer.binary), *arguments, "--config", str(streamer.config)], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, env=streamer.environment, cwd=streamer.folder, timeout=60)


@pytest.fixture(scope="module")
def stored(tenant_maker):  # noqa: F811
    """Four events are stored, one of them long, and nobody streams."""
    tenant = tenant_maker.on(PAIRS[-1]).tenant()
    tenant.run("ALTER TABLE tb_item ADD long TEXT")
    streamed(tenant)
    with tenant.connect() as connection:
        connection.execute("INSERT INTO tb_item VALUES (4, %s, %s)", ("a note " * 30, "x" * 500))
    tenant.streamer.start()
    tenant.wait_stored(4)
    tenant.wait_confirmed()
    assert tenant.streamer.terminate() == 0
    tenant.wait_free()
    yield tenant
    tenant.close()


@pytest.fixture
def without_servers(stored):
    """The same configuration, of servers that are not there."""
    port = free_port()
    return stored.another({"source": {"url": f"host=127.0.0.1 port={port} dbname=shop user=app"},
                                    "transport.nats": {"url": f"nats://127.0.0.1:{port}"}})


def _commands_of_help(streamer) -> set[str]:
    """Every command that --help names, those of commands included."""
    def named(*path: str) -> list[str]:
        text = subprocess.run([str(streamer.binary), *path, "--help"], capture_output=True, text=True).stdout
        found = re.search(r"SUBCOMMANDS:\n(.*?)\n\n", text, re.DOTALL)
        return re.findall(r"^  ([a-z-]+)(?: |$)", found[1], re.MULTILINE) if found else []

    return {" ".join([name, *inner]) for name in named() for inner in ([[sub] for sub in named(name)] or [[]])}


def test_every_command_is_tried_here(stored):
    # `run` streams, and `slot drop` asks: each has a test of its own.
    assert _commands_of_help(stored.streamer) - {"help"} == {"run", "slot drop", *_COMMANDS}


def test_every_commands_help_fits_a_terminal(stored):
    commands = _commands_of_help(stored.streamer)
    assert len(commands) > 10
    for command in commands | {""}:
        code, terminal = in_terminal(stored.streamer, *command.split(), "--help", configured=False)
        assert code == 0 and "USAGE:" in terminal.text
        assert max(map(len, terminal.lines)) <= COLUMNS, terminal.text


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_in_a_terminal(stored, command):
    arguments, expected = _COMMANDS[command]
    code, terminal = in_terminal(stored.streamer, *arguments)
    assert code == expected and terminal.text.strip(), terminal.text
    if command in _LAID_OUT:
        assert max(map(len, terminal.lines)) <= COLUMNS, terminal.text


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_on_a_pipe_has_no_colours_and_says_the_same(stored, command):
    arguments, expected = _COMMANDS[command]
    done = _run(stored.streamer, *arguments)
    assert done.returncode == expected and "\x1b" not in done.stdout + done.stderr, done
    assert (done.stdout + done.stderr).endswith("\n")


@pytest.mark.parametrize("command", _JSON)
def test_a_commands_json_is_one_object_a_line_in_a_terminal_too(stored, command):
    arguments, expected = _COMMANDS[command]
    done = _run(stored.streamer, *arguments, "--json")
    assert done.returncode == expected, done
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert lines and all(isinstance(line, dict) for line in lines)
    if command != "tail":
        assert len(lines) == 1 and re.fullmatch(r"slotstream\.[a-z_]+/1", lines[0]["schema"])
    code, terminal = in_terminal(stored.streamer, *arguments, "--json")
    assert code == expected and "\x1b" not in terminal.text
    assert json.loads(next(line for line in terminal.lines if line.startswith("{"))).keys() == lines[0].keys()


@pytest.mark.parametrize("command", _COMMANDS)
def test_a_command_with_both_servers_down(without_servers, command):
    arguments, _ = _COMMANDS[command]
    done = _run(without_servers, *arguments)
    assert done.returncode == _DOWN[command], done
    if _DOWN[command] == 69:
        assert re.search(r"slotstream: .*\[unreachable\]\n +\S", done.stderr), f"it says what to do: {done.stderr}"
    if command in _JSON:
        done = _run(without_servers, *arguments, "--json")
        assert done.returncode == _DOWN[command]
        assert not done.stdout or json.loads(done.stdout)["schema"]
    code, terminal = in_terminal(without_servers, *arguments)
    assert code == _DOWN[command] and terminal.text.strip()


@pytest.mark.parametrize("command", [*_COMMANDS, "run", "slot drop"])
def test_a_command_with_wrong_arguments(stored, command):
    for wrong in (["--no-such-option"], ["--set"], ["--set", "nonsense"], ["one", "two", "three"]):
        done = _run(stored.streamer, *command.split(), *wrong)
        assert done.returncode == 64 and not done.stdout, done
        assert done.stderr.startswith("Error: ") and "Usage: " in done.stderr, done.stderr
        code, terminal = in_terminal(stored.streamer, *command.split(), *wrong)
        assert code == 64 and "Error: " in terminal.text


@pytest.mark.parametrize("typed, meant", [("statsu", "slotstream status"), ("tial", "slotstream tail"), ("list", "slotstream slot list")])
def test_a_mistyped_command_gets_a_suggestion(stored, typed, meant):
    done = _run(stored.streamer, typed)
    assert done.returncode == 64 and f"Did you mean '{meant}'?" in done.stderr, done


def test_a_mistyped_option_gets_a_suggestion(stored):
    done = _run(stored.streamer, "status", "--jsno")
    assert done.returncode == 64 and "Did you mean '--json'?" in done.stderr, done


def test_the_version_has_a_short_form(stored):
    said = [subprocess.run([str(stored.streamer.binary), flag], capture_output=True, text=True) for flag in ("-V", "--version")]
    assert {(done.returncode, done.stdout) for done in said} == {(0, said[0].stdout)}
    # A build by hand says no commit.
    assert re.fullmatch(r"\d+\.\d+\.\d+( \(commit [0-9a-f]{12}\))?\n", said[0].stdout)


def test_run_in_a_terminal_ends_with_ctrl_c(one_pair, tenants):
    tenant = tenants(one_pair)
    with Terminal(tenant.streamer, "run") as terminal:
        terminal.wait_for('"message":"streaming"')
        terminal.type("\x03")
        assert terminal.end() == 0, terminal.text
    assert "SIGINT" in terminal.text


def test_slot_drop_asks_in_a_terminal(one_pair, tenants):
    tenant = tenants(one_pair)
    code, terminal = in_terminal(tenant.streamer, "slot", "drop", keys="no\n")
    assert code == 64 and f"Drop slot {tenant.name}?" in terminal.text, terminal.text
    code, terminal = in_terminal(tenant.streamer, "slot", "drop", keys=f"{tenant.name}\n")
    assert code == 0 and f"dropped: slot {tenant.name}" in terminal.text, terminal.text


def test_colours_are_for_terminals_that_want_them(stored):
    for arguments in (["status"], ["tail", "--from", "first", "--no-follow"]):
        _, plain = in_terminal(stored.streamer, *arguments, environment={"NO_COLOR": "1"})
        _, dumb = in_terminal(stored.streamer, *arguments, environment={"TERM": "dumb"})
        _, coloured = in_terminal(stored.streamer, *arguments)
        assert "\x1b[3" in coloured.text and "\x1b" not in plain.text + dumb.text
        if arguments[0] == "tail":
            assert coloured.lines == plain.lines == dumb.lines, "nothing is told by a colour alone"
