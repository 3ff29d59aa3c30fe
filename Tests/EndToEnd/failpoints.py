"""Named moments inside the streamer at which it ends, freezes or stops itself."""

import signal

from servers.tools import wait_until
from streamer import Streamer

_VARIABLE = "SLOTSTREAM_FAILPOINT"

# In the order in which a message meets them; the last four are met at a start, or when the connection to NATS has broken.
WORKING = ("reading", "after_send", "before_ack", "after_ack", "before_record", "after_record", "before_status", "after_status")
RECOVERING = ("recovering", "after_ownership", "resynchronising", "resynchronised")
POINTS = WORKING + RECOVERING

# Of a backfill: before its first chunk of a table, with a chunk in hand, behind one.
BACKFILLING = ("table_tracked", "chunk_read", "chunk_placed")

# What the process does to itself there.
ACTIONS = ("kill", "stop", "terminate")

# Failpoints that a process passes once a start, or once a broken connection.
_PASSED_ONCE = frozenset(RECOVERING)


def last_pass(point: str) -> int:
    """Up to which pass a schedule may let a failpoint wait: rows and messages are many, records and statuses one a second."""
    if point in _PASSED_ONCE:
        return 1
    return 2 if point.endswith(("record", "status")) else 300


def start(streamer: Streamer, point: str, action: str, number: int = 1) -> None:
    """Starts `run`, which does `action` to itself when it passes the failpoint for the `number`-th time."""
    streamer.environment[_VARIABLE] = f"{point}={action}:{number}"
    try:
        streamer.start(wait=False)
    finally:
        del streamer.environment[_VARIABLE]


def kill_command(streamer: Streamer, point: str, *arguments: str) -> None:
    """Runs another command, which must end itself at this failpoint."""
    streamer.environment[_VARIABLE] = f"{point}=kill"
    try:
        streamer.command(*arguments, expect=-signal.SIGKILL)
    finally:
        del streamer.environment[_VARIABLE]


def reached(streamer: Streamer, action: str) -> bool:
    """Whether it has come to that: dead, frozen, or told to stop."""
    if action == "stop":
        return streamer.running and _state(streamer) == "T"
    if action == "kill":
        return not streamer.running
    said = streamer.log_entries(streamer.log_start)
    return not streamer.running or any("stopping: waiting for acks" in entry["message"] for entry in said)


def _state(streamer: Streamer) -> str:
    with open(f"/proc/{streamer.process.pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def recover(streamer: Streamer, action: str, seconds: float = 30) -> None:
    """Afterwards it runs as a supervisor would have it; fails if it ended in another way than it was made to."""
    if action == "stop":
        streamer.thaw()
        return
    ended = streamer.wait(80 if action == "terminate" else seconds)
    assert ended == (-signal.SIGKILL if action == "kill" else 0), f"it ended with {ended}: {streamer.last_words()}"
    streamer.start(wait=False)


def wait_reached(streamer: Streamer, action: str, seconds: float = 3) -> bool:
    """Whether it comes to that in so many seconds."""
    try:
        return wait_until(lambda: reached(streamer, action), seconds, "the failpoint is reached", 0.05)
    except AssertionError:
        return False
