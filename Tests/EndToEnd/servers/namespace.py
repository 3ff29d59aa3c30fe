"""A network namespace of its own: a loopback on which every port is free."""

import os
import subprocess


class NetworkNamespace:
    """A context manager. Commands with `prefix` before them run inside; nothing of it outlives its last process.

    Files and Unix sockets are shared with the outside. Root makes it directly, others in a user namespace.
    """

    def __enter__(self) -> "NetworkNamespace":
        user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
        self._holder = subprocess.Popen(
            ["unshare", *user, "--net", "sh", "-c", "ip link set lo up && echo up && exec sleep infinity"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if self._holder.stdout.readline() != "up\n":
            raise AssertionError(f"no network namespace to be had: {self._holder.communicate()[1]}")
        enter = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        self.prefix = ["nsenter", f"--target={self._holder.pid}", *enter, "--net", "--"]
        return self

    def __exit__(self, *_) -> None:
        self._holder.kill()
        self._holder.communicate()
