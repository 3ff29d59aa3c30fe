"""How processes end: without what libraries do at exit, while threads that use them are ending, too."""

import shutil
import subprocess
from pathlib import Path

from deployment import demo_schema
from servers.tools import MissingTool

_AT_EXIT = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

__attribute__((destructor)) static void at_exit(void) {
    const char *path = getenv("CLEANED_UP");
    int file = path ? open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644) : -1;
    if (file >= 0) close(file);
}
"""


def _library(folder: Path) -> Path:
    """A library that makes the file `CLEANED_UP` when a process ends by exit()."""
    compiler = shutil.which("cc") or shutil.which("clang")
    if not compiler:
        raise MissingTool("no C compiler: Swift's toolchain has one")
    library = folder / "at_exit.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", library], input=_AT_EXIT, text=True, check=True,
                   capture_output=True)
    return library


def test_no_library_cleans_up_under_threads_that_are_ending(one_pair, deploy):
    deployment = deploy(one_pair, prepare=demo_schema)
    streamer = deployment.streamer
    mark = deployment.folder / "cleaned-up"
    streamer.environment |= {"LD_PRELOAD": str(_library(deployment.folder)), "CLEANED_UP": str(mark)}
    # The parser's own answers are given before there is any thread: so the mark is known to be made.
    streamer.command("run", "--no-such-option", expect=64)
    assert mark.exists()
    mark.unlink()

    streamer.start()
    deployment.postgres.run("SELECT fn_create_order(ARRAY['sku-1'], 'x')")
    deployment.wait_confirmed()
    streamer.command("status", "--json")
    assert streamer.command("tail", "--from", "first", "--count", "1", "--json").stdout.count("\n") == 1
    assert streamer.terminate() == 0
    assert not mark.exists()
    streamer.command("run", "--set", "source.slot=absent", "--no-setup", expect=None)
    assert not mark.exists()
