"""The man pages of one of slotstream's programs, made of what the program says of itself: a page for each command, and, of the one
that has the command `config`, slotstream.toml(5).

    python3 manual.py BINARY FOLDER

ArgumentParser has a tool for that, the package plugin `generate-manual`. The plugin compiles the program anew and asks that build; it
takes no binary that is there already. So this reads what the plugin reads, `--experimental-dump-help`. The keys come from
`config --explain`. SOURCE_DATE_EPOCH is the date of the pages.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

_NAME = "slotstream"
_EXAMPLE = "Example:"


def _text(text: str) -> str:
    """A text as roff shows it, with what stands in backticks in bold."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"`([^`]*)`", r"\\fB\1\\fR", escaped)


def _lines(text: str) -> list[str]:
    """A paragraph as lines of a page: none of them looks like a request."""
    folded = textwrap.wrap(_text(text), 78, break_long_words=False, break_on_hyphens=False)
    return ["\\&" + line if line[:1] in ".'" else line for line in folded]


def _literal(lines: list[str]) -> list[str]:
    """Lines that stay as they are."""
    shown = [_text(line) for line in lines]
    return [".PP", ".nf", *("\\&" + line if line[:1] in ".'" else line for line in shown), ".fi"]


def _discussion(discussion: str) -> tuple[list[str], list[str]]:
    """The paragraphs of a command's discussion, and the lines of its example."""
    paragraphs, examples = [], []
    for block in discussion.strip().split("\n\n"):
        lines = block.split("\n")
        if lines[0].strip() == _EXAMPLE:
            examples += [line.removeprefix("  ") for line in lines[1:]]
        elif block.strip():
            paragraphs.append(" ".join(block.split()))
    return paragraphs, examples


def _spelling(name: dict) -> str:
    return ("-" if name["kind"] == "short" else "--") + name["name"]


def _value(argument: dict) -> str:
    return f"\\fI{_text(argument['valueName'])}\\fR"


def _label(argument: dict) -> str:
    """How an argument is written: `-h, --help`, `--config FILE`."""
    if argument["kind"] == "positional":
        return _value(argument)
    label = ", ".join(f"\\fB{_text(_spelling(name))}\\fR" for name in argument["names"])
    return f"{label} {_value(argument)}" if argument["kind"] == "option" else label


def _synopsis(path: tuple[str, ...], command: dict) -> str:
    words = [f"\\fB{_text(' '.join(path))}\\fR"]
    if command.get("subcommands"):
        words.append("\\fIcommand\\fR")
    shown = [argument for argument in command.get("arguments", []) if argument["shouldDisplay"]]
    words += [f"[{_label(argument)}]" if argument["isOptional"] else _label(argument)
              for argument in shown if argument["kind"] != "flag"]
    if any(argument["kind"] == "flag" for argument in shown):
        words.append("[\\fIflags\\fR]")
    return " ".join(words)


def _heading(title: str, section: int, day: str, version: str) -> list[str]:
    return [f'.TH "{_text(title.upper())}" "{section}" "{day}" "{_NAME} {version}" "Slotstream"']


def _page(path: tuple[str, ...], command: dict, day: str, version: str) -> str:
    """The page of one command."""
    paragraphs, examples = _discussion(command.get("discussion") or "")
    subcommands = [sub for sub in command.get("subcommands", []) if sub["shouldDisplay"] and sub["commandName"] != "help"]
    page = _heading("-".join(path), 1, day, version)
    page += [".SH NAME", f"{_text('-'.join(path))} \\- {_text(command['abstract'].rstrip('.'))}"]
    page += [".SH SYNOPSIS", _synopsis(path, command)]
    if paragraphs:
        page.append(".SH DESCRIPTION")
        for number, paragraph in enumerate(paragraphs):
            page += ([".PP"] if number else []) + _lines(paragraph)
    if subcommands:
        page.append(".SH COMMANDS")
        for sub in subcommands:
            page += [".TP", f"\\fB{_text('-'.join((*path, sub['commandName'])))}\\fR(1)", *_lines(sub["abstract"])]
    arguments = [argument for argument in command.get("arguments", []) if argument["shouldDisplay"]]
    if arguments:
        page.append(".SH OPTIONS")
    for argument in arguments:
        default = argument.get("defaultValue")
        meaning = (argument.get("abstract") or "").strip() + (f" Default: {default}." if default else "")
        page += [".TP", _label(argument), *_lines(meaning or "\\&")]
    if examples:
        page += [".SH EXAMPLES", *_literal(examples)[1:]]
    others = [(*path[:-1],)] if len(path) > 1 else []
    others += [(*path, sub["commandName"]) for sub in subcommands]
    see = [f"\\fB{_text('-'.join(other))}\\fR(1)" for other in sorted(set(others))] + [f"\\fB{_NAME}.toml\\fR(5)"]
    return "\n".join([*page, ".SH SEE ALSO", ",\n".join(see)]) + "\n"


def _configuration(explained: str, day: str, version: str) -> str:
    """The page of the configuration file, of what `config --explain` says."""
    page = _heading(f"{_NAME}.toml", 5, day, version)
    page += [".SH NAME", f"{_NAME}.toml \\- configuration of \\fB{_NAME}\\fR(1)", ".SH DESCRIPTION"]
    page += _lines(f"`{_NAME}` reads the file that --config names, else {_NAME}.toml, else fraiseql-observer.toml, in the working directory. "
                   "The file is TOML. A flag (--set KEY=VALUE) and a variable win over the file. The variable of a key is SLOTSTREAM_ and the "
                   "key in capitals, joined by _, such as SLOTSTREAM_SOURCE_SLOT. ${VAR} and ${VAR:-default} work inside the file's values. "
                   f"`{_NAME} config --explain` shows each effective value and where it comes from.")
    page.append(".SH KEYS")
    for block in explained.strip().split("\n\n"):
        comments, (key, default) = [], ("", "")
        for line in block.split("\n"):
            if line.startswith("# "):
                comments.append(line[2:])
            else:
                key, _, value = line.partition(" = ")
                default = value.rpartition("   # ")[0] or value
        page += [".TP", f"\\fB{_text(key)}\\fR = {_text(default)}"]
        for number, comment in enumerate(comments):
            page += ([".br"] if number else []) + _lines(comment)
    return "\n".join([*page, ".SH SEE ALSO", f"\\fB{_NAME}\\fR(1)"]) + "\n"


def _ask(binary: str, *arguments: str) -> str:
    """What the binary prints, with no configuration but its defaults."""
    with tempfile.TemporaryDirectory() as empty:
        done = subprocess.run([os.path.abspath(binary), *arguments], cwd=empty, env={"PATH": os.environ["PATH"]}, check=True,
                              capture_output=True, text=True)
    return done.stdout


def _walk(path: tuple[str, ...], command: dict):
    path = (*path, command["commandName"])
    yield path, command
    for sub in command.get("subcommands", []):
        if sub["shouldDisplay"] and sub["commandName"] != "help":
            yield from _walk(path, sub)


def write(binary: str, folder: Path) -> None:
    """Writes the pages into `folder`/man1 and `folder`/man5."""
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    day = time.strftime("%Y-%m-%d", time.gmtime(moment))
    version = _ask(binary, "--version").split()[0]
    help_of_all = json.loads(_ask(binary, "--experimental-dump-help"))
    for section in ("man1", "man5"):
        (folder / section).mkdir(parents=True, exist_ok=True)
    for path, command in _walk((), help_of_all["command"]):
        (folder / "man1" / f"{'-'.join(path)}.1").write_text(_page(path, command, day, version))
    if any(command["commandName"] == "config" for command in help_of_all["command"]["subcommands"]):
        explained = _ask(binary, "config", "--explain")
        (folder / "man5" / f"{_NAME}.toml.5").write_text(_configuration(explained, day, version))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
