"""The completion scripts that the program prints: bash, fish and zsh complete with theirs."""

import os
import subprocess

import pytest

from servers.tools import observer_binary, slotstream_binary
from terminal import Terminal

# Both programs' scripts are there, as in a shell of an installation.
_ASK = """
source "$1"; source "$2"; shift 2
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
ask=$(complete -p "$1" | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
"$ask" "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


_PROGRAMS = (slotstream_binary, observer_binary)


def _said(*arguments: str, by=slotstream_binary) -> str:
    return subprocess.run([by(), *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("words, completed", [(["slotstream", "sk"], {"skip"}), (["slotstream", "skip", "--c"], {"--config", "--change"}),
                                              (["slotstream", "slot", "ad"], {"advance"}), (["slotstream", "verify", "--ro"], {"--rows"}),
                                              (["slotstream-observer", "dead", "re"], {"retry"}),
                                              (["slotstream-observer", "dead", "list", "--rea"], {"--reason"})],
                         ids=["command", "option", "subcommand", "group's option", "observer's subcommand", "observer's option"])
def test_bash_completes_commands_and_options(tmp_path, words, completed):
    scripts = [tmp_path / f"{program().name}.bash" for program in _PROGRAMS]
    for program, script in zip(_PROGRAMS, scripts):
        script.write_text(_said("--generate-completion-script", "bash", by=program))
    done = subprocess.run(["bash", "-c", _ASK, "bash", *scripts, *words], check=True, capture_output=True, text=True)
    assert set(done.stdout.split()) == completed, (done.stdout, done.stderr)


@pytest.fixture
def environment(tmp_path):
    """The program in PATH, as `slotstream`."""
    (tmp_path / "slotstream").symlink_to(slotstream_binary())
    return os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}


@pytest.mark.parametrize("typed, completed", [("sk", {"skip"}), ("slot ad", {"advance"}), ("run --on-stop ", {"exit", "wait"}),
                                              ("verify --ro", {"--rows"})], ids=["command", "subcommand", "value", "group's option"])
def test_fish_completes_commands_and_options(tmp_path, environment, typed, completed):
    script = tmp_path / "slotstream.fish"
    script.write_text(_said("--generate-completion-script", "fish"))
    done = subprocess.run(["fish", "--no-config", "-c", f"source {script}; complete -C 'slotstream {typed}'"], check=True, capture_output=True, text=True,
                          env=environment)
    assert {line.split("\t")[0] for line in done.stdout.splitlines()} == completed, (done.stdout, done.stderr)


def test_zsh_completes_commands_and_options(tmp_path, environment):
    (tmp_path / "_slotstream").write_text(_said("--generate-completion-script", "zsh"))
    with Terminal.running(["zsh", "-f", "-i"], tmp_path, environment) as terminal:
        terminal.type(f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -D; print -r -- REA''DY\n")
        terminal.wait_for("READY")
        # The first fills in what is common, the second lists.
        terminal.type("slotstream re\t\t")
        terminal.wait_for("rewind +-- Rebuild a lost stream")
        # What was typed is given up.
        terminal.type("\x15slotstream rewind --dr\t")
        terminal.wait_for("--dry-run")


@pytest.mark.parametrize("program, one", zip(_PROGRAMS, ("skip", "dead")), ids=["slotstream", "slotstream-observer"])
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_names_every_command(shell, program, one):
    script = _said("--generate-completion-script", shell, by=program)
    listed = _said("--help", by=program).split("SUBCOMMANDS:")[1].split("\n\n")[0]
    commands = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    assert one in commands and [command for command in commands if command not in script] == []
