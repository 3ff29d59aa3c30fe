"""The worker's commands beside `dead`: help, `check`, `status`, wrong arguments; and what the programs are linked with."""

import json
import re
import subprocess

import pytest

from orders import OrderStream
from places import place, place_maker, places  # noqa: F401
from servers.tools import free_port, observer_binary, slotstream_binary
from terminal import COLUMNS, in_terminal
from worker import Worker, observer, webhook

_COMMANDS = ("", "run", "setup", "check", "status", "dead", "dead list", "dead show", "dead retry", "dead drop")


def _run(*arguments: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run([str(observer_binary()), *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, **options)


@pytest.mark.parametrize("command", _COMMANDS)
def test_help_fits_a_terminal_and_has_an_example(command, folder):
    done = _run(*command.split(), "--help")
    assert done.returncode == 0 and "USAGE:" in done.stdout and not done.stderr
    assert max(map(len, done.stdout.splitlines())) <= COLUMNS, done.stdout
    if command not in ("", "dead"):
        assert re.search(rf"slotstream-observer {command}\b", done.stdout), done.stdout
        assert "example" in done.stdout.lower(), done.stdout


def test_the_help_names_every_command(folder):
    said = _run("--help").stdout
    for command in ("run", "setup", "check", "status", "dead"):
        assert re.search(rf"^  {command}\b", said, re.MULTILINE), said


def test_version_is_the_streamers():
    streamer = subprocess.run([str(slotstream_binary()), "--version"], capture_output=True, text=True).stdout.split()[0]
    assert _run("--version").stdout.split()[0] == streamer


@pytest.mark.parametrize("arguments", [["rnu"], ["run", "--sett"], ["status", "more"], ["check", "--confg", "x"], ["run", "--set", "nonsense"],
                                       ["--nothing"]])
def test_wrong_arguments_end_with_64(folder, arguments):
    done = _run(*arguments, cwd=folder)
    assert done.returncode == 64 and done.stderr and not done.stdout, done
    if arguments == ["rnu"]:
        assert "run" in done.stderr


@pytest.mark.parametrize("command", [["status"], ["check"], ["dead", "list"], ["setup"]])
def test_a_nats_server_that_is_not_there_is_69(folder, command):
    worker = Worker(folder / "worker", OrderStream(f"nats://127.0.0.1:{free_port()}"), {"hook": observer(webhook("https://hooks.example.com/x"))})
    done = worker.command(*command, expect=69)
    assert "127.0.0.1" in done.stderr and "\x1b" not in done.stderr, done.stderr


def test_only_the_worker_loads_libcurl():
    """The streamer stays as small as it is: nothing of the worker's is in it."""
    def libraries(binary) -> str:
        return subprocess.run(["ldd", str(binary)], capture_output=True, text=True, check=True).stdout

    assert "libcurl" not in libraries(slotstream_binary())
    assert "libcurl" in libraries(observer_binary())
    for name in ("libnats", "libpq"):
        assert name in libraries(observer_binary())


# check


def test_check_finds_nothing_where_all_is_well(place):
    worker = place.worker()
    worker.command("setup")
    done = worker.command("check")
    assert done.returncode == 0
    said = json.loads(worker.command("check", "--json").stdout)
    assert said["schema"].startswith("slotstream.") and [each for each in said["findings"] if each["severity"] in ("error", "warning")] == []


def test_check_before_setup_says_what_is_missing_and_makes_nothing(place):
    worker = place.worker()
    names = place.administrator.names()
    done = worker.command("check", expect=None)
    assert done.returncode in (0, 1)
    said = done.stdout + done.stderr
    assert "slotstream-observer setup" in said, said
    assert place.administrator.names() == names, "check makes nothing"


# status


def test_status_says_who_works_and_how_it_stands(place):
    worker = place.started()
    place.publish(3)
    place.wait_idle()
    done = worker.command("status", expect=None)
    assert done.returncode in (0, 1)
    for word in (place.name, "fraiseql_observer_worker", "WORKING"):
        assert word in done.stdout, done.stdout
    said = json.loads(worker.command("status", "--json", expect=None).stdout)
    assert said["schema"].startswith("slotstream.") and said["schema"].endswith("/1")
    assert said["role"] == "active", said
    code, terminal = in_terminal(worker, "status")
    assert code in (0, 1) and max(map(len, terminal.lines)) <= COLUMNS, terminal.text


def test_status_of_a_worker_that_does_not_run(place):
    worker = place.worker()
    worker.command("setup")
    place.publish(7)
    done = worker.command("status", expect=1)
    assert "7" in done.stdout and "slotstream-observer run" in done.stdout + done.stderr, done
    assert json.loads(worker.command("status", "--json", expect=1).stdout)["role"] == "stopped"


def test_status_names_dead_letters_and_the_command_for_them(place):
    place.receiver.answers("400")
    worker = place.started()
    place.publish(2)
    place.wait_dead(2)
    done = worker.command("status", expect=1)
    assert "dead list" in done.stdout + done.stderr, done.stdout
