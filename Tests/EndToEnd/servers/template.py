"""Clusters as initdb makes them, copied: initdb and what every cluster gets besides cost as much as a small test."""

import atexit
import secrets
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

# The reversed polynomial of CRC-32C, which PostgreSQL computes over pg_control.
_POLYNOMIAL = 0x82F63B78
# Where a WAL segment's first page has the identifier of the cluster that wrote it (XLogLongPageHeaderData).
_SEGMENT_IDENTIFIER = 24


@cache
def _template(version: str, make: Callable[[str, Path], None]) -> Path:
    """A stopped cluster of `version`, made once a process, and removed at its end."""
    folder = Path(tempfile.mkdtemp(prefix=f"slotstream-template-{version}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    make(version, folder)
    return folder / "data"


def copy_cluster(version: str, data: Path, make: Callable[[str, Path], None]) -> None:
    """Puts a cluster of `version` into `data`, with a system identifier of its own.

    `make` makes one of a version in `data` below a folder, and leaves it shut down; called once a process.
    """
    subprocess.run(["cp", "-a", "--reflink=auto", _template(version, make), data], check=True)
    _identify(data)


def _identify(data: Path) -> None:
    """Gives it another system identifier, as a second initdb would: the streamer tells servers apart by it."""
    control = data / "global" / "pg_control"
    content = bytearray(control.read_bytes())
    length = _checked_length(content)
    identifier = struct.pack("<Q", struct.unpack_from("<Q", content)[0] & ~0xFFFFFFFF | secrets.randbits(32))
    content[:8] = identifier
    struct.pack_into("<I", content, length, _checksum(content[:length])[-1])
    _overwrite(control, 0, bytes(content))
    for segment in (data / "pg_wal").glob("[0-9A-F]" * 24):
        _overwrite(segment, _SEGMENT_IDENTIFIER, identifier)


def _overwrite(path: Path, offset: int, content: bytes) -> None:
    # In place: owner and mode stay.
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _checked_length(content: bytes) -> int:
    """How much of pg_control its checksum is of: it stands right behind, and where that is depends on the version."""
    for length, checksum in enumerate(_checksum(content[:1024])):
        if length % 4 == 0 and length > 8 and struct.unpack_from("<I", content, length)[0] == checksum:
            return length
    raise AssertionError("pg_control has no checksum")


def _checksum(content: bytes) -> list[int]:
    """The CRC-32C of each prefix, from the empty one to the whole."""
    value = 0xFFFFFFFF
    found = [0]
    for byte in content:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        found.append(value ^ 0xFFFFFFFF)
    return found
