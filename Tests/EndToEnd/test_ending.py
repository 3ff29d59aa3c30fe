"""How processes end: without what libraries do at exit, while threads that use them are ending, too."""

from deployment import demo_schema
from servers.tools import preloadable

# Makes the file CLEANED_UP when a process ends by exit().
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


def test_no_library_cleans_up_under_threads_that_are_ending(one_pair, deploy):
    deployment = deploy(one_pair, prepare=demo_schema)
    streamer = deployment.streamer
    mark = deployment.folder / "cleaned-up"
    streamer.environment |= {"LD_PRELOAD": str(preloadable("at_exit", _AT_EXIT, deployment.folder)), "CLEANED_UP": str(mark)}
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
