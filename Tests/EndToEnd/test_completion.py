"""The completion scripts that the program prints: bash completes with its own, the others name every command."""

import subprocess

import pytest

from servers.tools import slotstream_binary

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


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_names_every_command(shell):
    script = _said("--generate-completion-script", shell)
    listed = _said("--help").split("SUBCOMMANDS:")[1].split("\n\n")[0]
    commands = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    assert "skip" in commands and [command for command in commands if command not in script] == []
