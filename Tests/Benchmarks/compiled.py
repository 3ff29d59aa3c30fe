"""The programs in C beside this file, compiled when they are needed."""

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "EndToEnd"))

from servers.tools import MissingTool  # noqa: E402


def compile_c(name: str, folder: Path) -> Path:
    """`NAME.c` as a program in `folder`."""
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpq", "libnats"], capture_output=True, text=True)
    if flags.returncode != 0:
        raise MissingTool(f"needs Debian's libpq-dev and libnats-dev: {flags.stderr.strip()}")
    program = folder / name
    source = Path(__file__).with_name(f"{name}.c")
    command = ["cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, source, *flags.stdout.split()]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise MissingTool(f"{source.name} does not compile: {done.stderr}")
    return program
