"""Clean Debian roots, in which what deploy/release packs is installed and run, and such a root booted with its own systemd."""

import os
import shutil
import subprocess
from pathlib import Path

from servers.tools import MissingTool, dying_with_us, installed, tools_folder, wait_until

_MIRROR = "http://deb.debian.org/debian"
_SOURCES = f"""deb {_MIRROR} bookworm main
deb {_MIRROR} bookworm-updates main
deb {_MIRROR}-security bookworm-security main
"""
# What starts a service in a root without systemd: nobody.
_POLICY = "#!/bin/sh\nexit 101\n"


def require_root() -> None:
    """Fails where these tests cannot work, and says why."""
    if os.geteuid() != 0:
        raise MissingTool("these tests make and enter Debian roots: run them as root")


def base() -> Path:
    """A tar file of Debian 12 with nothing but what is essential, made by debootstrap when it is first asked for."""
    require_root()
    made = tools_folder() / "debian-bookworm.tar"
    if not made.exists():
        debootstrap = installed("debootstrap")
        folder = tools_folder() / f"debian-bookworm-{os.getpid()}"
        try:
            done = subprocess.run([debootstrap, "--variant=minbase", "bookworm", folder, _MIRROR], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr
            (folder / "etc/apt/sources.list").write_text(_SOURCES)
            partial = made.with_suffix(f".{os.getpid()}")
            subprocess.run(["tar", "--create", "--file", partial, "--directory", folder, "--exclude=./var/cache/apt/archives/*.deb", "."], check=True)
            partial.rename(made)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return made


class Root:
    """A Debian root in `folder`, a copy of the base."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["tar", "--extract", "--file", base(), "--directory", folder], check=True)
        shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
        self.write("/usr/sbin/policy-rc.d", _POLICY, 0o755)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """A file in it."""
        file = self.folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)

    def read(self, path: str) -> str:
        """The text of a file in it."""
        return (self.folder / path.lstrip("/")).read_text()

    def has(self, path: str) -> bool:
        """Whether there is such a file, also one whose link leads elsewhere."""
        return os.path.lexists(self.folder / path.lstrip("/"))

    def prefix(self, user: str | None = None) -> list[str]:
        """What runs a command in it, with its /proc, as root or as that user of its; the command dies with us."""
        entered = ["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', str(self.folder)]
        return entered + (["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--pdeathsig", "KILL", "--"] if user else [])

    def run(self, *command: str, expect: int | None = 0) -> subprocess.CompletedProcess:
        """A command in it, which must end with `expect` (None: however)."""
        done = subprocess.run([*self.prefix(), *command], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"})
        assert expect is None or done.returncode == expect, f"{' '.join(command)}: {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done

    def apt(self, *arguments: str) -> str:
        """apt-get, without recommended packages; returns what it and the packages' scripts said."""
        done = self.run("apt-get", "-q", "-y", "--no-install-recommends", *arguments)
        return done.stdout + done.stderr

    def install(self, package: Path) -> str:
        """A Debian package of ours with what it depends on, from the mirror; returns what was said."""
        self.apt("update")
        # Not in /tmp, which a systemd that runs has in memory.
        shutil.copy(package, self.folder / "srv")
        return self.apt("install", f"/srv/{package.name}")


class Booted(Root):
    """A root whose systemd runs, as the first process of a container that shares our network."""

    def __init__(self, folder: Path):
        self._process: subprocess.Popen | None = None
        super().__init__(folder)
        self.apt("update")
        self.apt("install", "systemd", "systemd-sysv", "dbus")
        (folder / "usr/sbin/policy-rc.d").unlink()
        # Otherwise it is a first boot, which enables every unit that there is.
        self.write("/etc/machine-id", "5a" * 16 + "\n")
        self.log = folder.with_suffix(".log")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [*dying_with_us("TERM"), installed("systemd-nspawn", "apt-get install systemd-container"), "--quiet", "--directory", folder,
                 "--machine=slotstream", "--register=no", "--keep-unit", "--boot", "--console=pipe", "systemd.unit=multi-user.target"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self._leader, 30, f"systemd starts: {self.log}")
            wait_until(lambda: self._state() in ("running", "degraded"), 60, f"systemd has started everything: {self.log}", 0.1)
        except BaseException:
            self.close()
            raise

    def _leader(self) -> str | None:
        """The process id of its systemd, once it is that."""
        assert self._process.poll() is None, f"systemd-nspawn ended with {self._process.returncode}: {self.log.read_text()}"
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return next((child for child in children if Path(f"/proc/{child}/comm").read_text() == "systemd\n"), None)

    def _state(self) -> str:
        return self.run("systemctl", "is-system-running", expect=None).stdout.strip()

    def prefix(self, user: str | None = None) -> list[str]:
        # Before it runs, its packages are installed from outside.
        if self._process is None:
            return super().prefix(user)
        return ["nsenter", "--target", self._leader(), "--mount", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wdns=/", "--"]

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()

    def journal(self, unit: str) -> str:
        """What a unit has logged."""
        return self.run("journalctl", "--no-pager", "--output", "cat", "--unit", unit).stdout

    def close(self) -> None:
        """Ends it, in order where it can."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
