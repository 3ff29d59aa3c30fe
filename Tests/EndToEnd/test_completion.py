"""The completion scripts that the program prints: bash, fish and zsh complete with theirs."""

import os
import subprocess

import pytest

from servers.tools import slotstream_binary
from terminal import Terminal

_ASK = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_slotstream slotstream "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def _said(*arguments: str) -> str:
    return subprocess.run([slotstream_binary(), *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("words, completed", [(["sk"], {"skip"}), (["skip", "--c"], {"--config", "--change"}), (["slot", "ad"], {"advance"}),
                                              (["verify", "--ro"], {"--rows"})], ids=["command", "option", "subcommand", "group's option"])
def test_bash_completes_commands_and_options(tmp_path, words, completed):
    script = tmp_path / "slotstream.bash"
    script.write_text(_said("--generate-completion-script", "bash"))
    done = subprocess.run(["bash", "-c", _ASK, "bash", script, "slotstream", *words], check=True, capture_output=True, text=True)
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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_names_every_command(shell):
    script = _said("--generate-completion-script", shell)
    listed = _said("--help").split("SUBCOMMANDS:")[1].split("\n\n")[0]
    commands = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    assert "skip" in commands and [command for command in commands if command not in script] == []
