"""Carries out what a stop tells its operator to do, to the letter: the commands between backticks, in the order of the steps."""

import re
import shlex

from streamer import Streamer
from tenants import record_entries

# A step that is for another cause than the test's, and ends the list where it is done.
_ELSE = re.compile(r"^If .* skip the other steps")
_IF_SLOT = "If `slotstream slot list` shows the slot, "
_FORGED = "If the server was restored or promoted, continue with step "
_OTHER_STREAM = "Set another transport.nats.stream_name and another transport.nats.subject_prefix"
# What only looks says by its exit code that there is something to see.
_FINDINGS = ("slot advance", "mend --dry-run")


def steps(remedy: str) -> list[str]:
    """The numbered steps of a remedy, or all of it as one."""
    found, number, start = [], 1, None
    for word in re.finditer(r"\S+", remedy):
        if word[0] == f"{number}.":
            if start is not None:
                found.append(remedy[start:word.start()].rstrip(". "))
            number, start = number + 1, word.end() + 1
    return found + [remedy[start or 0:]]


def follow(streamer: Streamer, slot: str, remedy: str | None = None, chosen: int | None = None, forged: bool = False,
           by_hand: dict | None = None) -> str | None:
    """Does each step of the remedy that the stopped streamer logged (or of `remedy`), and waits until it streams if the last is to start it.

    `chosen`: the step that says to skip the others and is done; such steps are passed over otherwise. `by_hand`: what a person does for the
    step that begins with these words. `forged`: what is not the server's is somebody's forgery. Returns the new stream's name, if there is one.
    """
    remedy = remedy or record_entries(streamer, "stopped")[-1]["remedy"]
    done, anew, resumed = [], None, 1
    for number, step in enumerate(steps(remedy), 1):
        if number < resumed:
            continue
        if step.startswith(_FORGED):
            resumed = number if forged else int(step.removeprefix(_FORGED).split(".")[0])
            continue
        if _ELSE.match(step) and number != chosen:
            continue
        for words, act in (by_hand or {}).items():
            if step.startswith(words):
                act()
                done.append(words)
        if step == _OTHER_STREAM:
            anew = f"{slot}_anew"
            streamer.environment |= {"SLOTSTREAM_TRANSPORT_NATS_STREAM_NAME": anew,
                                     "SLOTSTREAM_TRANSPORT_NATS_SUBJECT_PREFIX": f"anew.{slot}"}
        _commands(streamer, slot, step)
        if number == chosen or "skip the other steps" in step:
            break
    assert set(done) == set(by_hand or {}), f"the remedy has no such step: {remedy}"
    if streamer.running:
        streamer.wait_streaming()
    return anew


def _commands(streamer: Streamer, slot: str, step: str) -> None:
    """Runs the commands of a step, and starts the streamer where that is one."""
    if step.startswith(_IF_SLOT):
        listed = streamer.command("slot", "list").stdout
        if not any(line.split()[0] == slot for line in listed.splitlines()):
            return
    for command in re.findall(r"`(slotstream [^`]+)`", step.removeprefix(_IF_SLOT)):
        words = shlex.split(command)[1:]
        if words == ["run"]:
            streamer.start(wait=False)
        else:
            # What `status` finds is the test's business.
            expected = None if words == ["status"] else int(" ".join(words) in _FINDINGS)
            streamer.command(*words, expect=expected, answer=f"{slot}\n")
    # The step that mends a forged end names no command for it.
    if "then start the streamer" in step:
        streamer.start(wait=False)
