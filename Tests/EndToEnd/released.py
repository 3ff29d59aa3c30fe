"""What deploy/release makes of the binaries under test, once a module."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from servers.tools import CHECKOUT, observer_binary, slotstream_binary, unconfiguring_environment


def release(output: Path, *arguments: str) -> Path:
    """Runs deploy/release on the binaries under test, into `output`."""
    environment = unconfiguring_environment()
    if "SLOTSTREAM_TOOLS" in os.environ:
        environment["SLOTSTREAM_TOOLS"] = os.environ["SLOTSTREAM_TOOLS"]
    with tempfile.TemporaryDirectory() as together:
        for binary in (slotstream_binary(), observer_binary()):
            Path(together, binary.name).symlink_to(binary.resolve())
        done = subprocess.run([CHECKOUT / "deploy" / "release", "--binary", Path(together, "slotstream"), "--output", output, *arguments],
                              capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-4000:]
    return output


def one(folder: Path, pattern: str) -> Path:
    """The one file of that pattern."""
    found = sorted(folder.glob(pattern))
    assert len(found) == 1, f"{pattern} in {folder}: {found}"
    return found[0]


@pytest.fixture(scope="module")
def place():
    """A folder on the disk for roots of a Debian, with paths that everybody may enter."""
    made = Path(tempfile.mkdtemp(prefix="slotstream-e2e-deploy-", dir="/var/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)
