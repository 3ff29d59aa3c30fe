"""A Compose project whose containers are processes: each service's command, user, environment, mounts and health check as the file has
them, in a root, and in a network of the project's own. What an image brings besides (its programs, its entrypoint) is this machine's."""

import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import nats
import yaml

from servers.namespace import NetworkNamespace
from servers.tools import CHECKOUT, MissingTool, dying_with_us, nats_binary, observer_binary, postgres_bin, slotstream_binary, wait_until

# What docker-entrypoint.sh of the image `postgres` does with these variables and that folder, as its page says.
_POSTGRES = """
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --pgdata="$PGDATA" --username=postgres --pwfile="$POSTGRES_PASSWORD_FILE" --auth-local=trust --auth-host=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 --no-sync
    printf "listen_addresses = '*'\\nunix_socket_directories = '$PGHOST'\\nfsync = off\\n" >>"$PGDATA/postgresql.conf"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    program=$1
    shift
    pg_ctl --pgdata="$PGDATA" --options="-c listen_addresses='' $*" --wait start
    psql --no-psqlrc --username=postgres --dbname=postgres --command="CREATE DATABASE $POSTGRES_DB"
    for script in /docker-entrypoint-initdb.d/*.sql; do
        psql --no-psqlrc --set=ON_ERROR_STOP=1 --no-password --username=postgres --dbname="$POSTGRES_DB" --file="$script"
    done
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
    set -- "$program" "$@"
fi
exec "$@" -D "$PGDATA"
"""
# Where a Python image has its program: not in the project's folder, which a service's own /tmp may hide.
_PYTHON = "/image"
# A root of the service's own: this machine's folders, with an /etc and a /run that are nobody else's. Behind it the mounts, then the program.
_ROOT = """
set -e
root=$1 user=$2 groups=$3 bounding=$4 directory=$5 mode=$6 mounts=$7 tmpfs=$8
shift 8
mount -t tmpfs root "$root"
for path in /*; do
    case $path in
        /etc) cp -a /etc "$root/etc" ;;
        /run) mkdir -p "$root/run/secrets" "$root/run/postgresql" && chmod 1777 "$root/run/postgresql" ;;
        *) if [ -L "$path" ] || [ ! -d "$path" ]; then cp -a "$path" "$root$path"; else mkdir -p "$root$path" && mount --rbind "$path" "$root$path"; fi ;;
    esac
done
while IFS='|' read -r source target; do
    [ -n "$source" ] || continue
    mkdir -p "$(dirname "$root$target")"
    if [ -d "$source" ]; then mkdir -p "$root$target"; else : >"$root$target"; fi
    mount --bind "$source" "$root$target"
done <<END
$mounts
END
for path in $tmpfs; do mount -t tmpfs -o mode=1777 tmpfs "$root$path"; done
mkdir -p "$root$directory"
if [ "$mode" = ro ]; then mount -o remount,ro "$root"; fi
exec /usr/sbin/chroot "$root" setpriv --reuid="$user" --regid="$groups" --clear-groups --bounding-set="$bounding" sh -c 'cd "$0" && exec "$@"' "$directory" "$@"
"""


class Service:
    """One service of the project, and its process."""

    def __init__(self, project: "Project", name: str, described: dict):
        self.project = project
        self.name = name
        self.described = described
        self.log = project.folder / f"{name}.log"
        self.process: subprocess.Popen | None = None

    @property
    def _user(self) -> tuple[str, str]:
        """The numbers of user and group: of the file, else of the image."""
        if "user" in self.described:
            user, group = self.described["user"].split(":")
            return user, group
        if self.name == "postgres":
            entry = pwd.getpwnam("postgres")
            return str(entry.pw_uid), str(entry.pw_gid)
        return "0", "0"

    @property
    def _bounding(self) -> str:
        """Which capabilities it may have, as setpriv is told."""
        return "-all" if self.described.get("cap_drop") == ["ALL"] else "+all"

    @property
    def _command(self) -> list[str]:
        """With the file's entrypoint, else the image's."""
        command = [str(word) for word in self.described["command"]]
        before = {"postgres": ["bash", "-c", _POSTGRES, "docker-entrypoint.sh"], "nats": ["nats-server"], "slotstream": ["slotstream"]}
        return [*self.described.get("entrypoint", before.get(self.name, [])), *command]

    @property
    def _environment(self) -> dict[str, str]:
        places = [slotstream_binary().resolve().parent, postgres_bin("18"), nats_binary("2.15.1").parent]
        if self.name == "observer":
            places.append(observer_binary().resolve().parent)
        image = {"PATH": ":".join([*map(str, places), "/usr/bin", "/bin"]), "LANG": "C.UTF-8"}
        if self.name == "postgres":
            image |= {"PGDATA": "/var/lib/postgresql/18/docker", "PGHOST": "/run/postgresql"}
        if self.name in ("consumer", "receiver"):
            # The one that runs us may be in a folder that is closed to others; what it has installed is not.
            image |= {"PATH": f"{_PYTHON}:/usr/bin:/bin", "PYTHONPATH": str(Path(nats.__file__).parents[1])}
        return image | {name: str(value) for name, value in self.described.get("environment", {}).items()}

    @property
    def _mounts(self) -> list[tuple[Path, str]]:
        """What is bound where."""
        mounts = []
        for secret in self.described.get("secrets", []):
            mounts.append((self.project.file("secrets", secret), f"/run/secrets/{secret}"))
        for config in self.described.get("configs", []):
            mounts.append((self.project.file("configs", config["source"]), config["target"]))
        for volume in self.described.get("volumes", []):
            source, target, *_ = volume.split(":")
            path = self.project.place / source if source.startswith(".") else self.project.volume(source, self._user)
            mounts.append((path.resolve(), target))
        return [*mounts, (self.project.hosts, "/etc/hosts"), (self.project.python, _PYTHON)]

    def start(self) -> None:
        """Starts it, and waits for nothing."""
        root = self.project.folder / f"{self.name}.root"
        root.mkdir(exist_ok=True)
        mounts = "\n".join(f"{source}|{target}" for source, target in self._mounts)
        directory = "/etc/slotstream" if self.name in ("slotstream", "observer") else "/"
        mode = "ro" if self.described.get("read_only") else "rw"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.project.network.prefix, "unshare", "--mount", *dying_with_us(), "sh", "-c", _ROOT, "sh", str(root), *self._user, self._bounding,
                 directory, mode, mounts, " ".join(self.described.get("tmpfs", [])), *self._command],
                env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def run(self, command: list[str]) -> subprocess.CompletedProcess:
        """Runs a command inside, as the service's user."""
        user, group = self._user
        entered = ["nsenter", f"--target={self.process.pid}", "--mount", "--net", "--root", "--wd", "--", "setpriv", f"--reuid={user}", f"--regid={group}",
                   "--clear-groups", f"--bounding-set={self._bounding}", "--"]
        return subprocess.run([*entered, *command], env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)

    @property
    def is_healthy(self) -> bool:
        """What its health check says now; without one, whether it runs."""
        assert self.process.poll() is None, f"{self.name} ended with {self.process.returncode}: {self.log.read_text()[-3000:]}"
        kind, *command = self.described.get("healthcheck", {}).get("test", ["CMD", "true"])
        assert kind == "CMD"
        return self.run(command).returncode == 0

    def wait_healthy(self) -> None:
        """Until its health check passes."""
        wait_until(lambda: self.is_healthy, 60, f"{self.name} is healthy: {self.log}", 0.1)

    def stop(self) -> None:
        """As Docker does it, and within the time that the file gives."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.send_signal(signal.SIGINT if self.name == "postgres" else signal.SIGTERM)
        seconds = {"30s": 30, "1m": 60, None: 10}[self.described.get("stop_grace_period")]
        code = self.process.wait(timeout=seconds)
        assert code == 0, f"{self.name} ended with {code}: {self.log.read_text()[-2000:]}"


class Project:
    """The project of `deploy/compose`, copied into `folder`; a context manager that leaves nothing running."""

    def __init__(self, folder: Path):
        if os.geteuid() != 0:
            raise MissingTool("a root of its own for each service: run the tests as root")
        self.folder = folder
        self.place = folder / "deploy" / "compose"
        shutil.copytree(CHECKOUT / "deploy" / "compose", self.place, ignore=shutil.ignore_patterns("secrets.d", ".env"))
        shutil.copytree(CHECKOUT / "sql", folder / "sql")
        shutil.copytree(CHECKOUT / "deploy" / "lib", folder / "deploy" / "lib")
        self.hosts = folder / "hosts"
        self.python = folder / "python"
        self.python.mkdir()
        (self.python / "python").symlink_to("/usr/bin/python3")
        self.services: dict[str, Service] = {}
        # Which of the file's profiles are on, besides what has none.
        self.profiles: set[str] = set()

    def __enter__(self) -> "Project":
        self.network = NetworkNamespace()
        self.network.__enter__()
        return self

    def __exit__(self, *_) -> None:
        for service in self.services.values():
            if service.process and service.process.poll() is None:
                service.process.kill()
                service.process.wait()
        self.network.__exit__()

    def _read(self) -> None:
        """The file as Compose reads it, with what .env says."""
        said = dict(line.split("=", 1) for line in (self.place / ".env").read_text().splitlines())
        text = re.sub(r"\$\{(\w+):-([^}]*)\}", lambda found: said.get(found[1], found[2]), (self.place / "compose.yaml").read_text())
        self.described = yaml.safe_load(text)
        names = list(self.described["services"])
        # Each service has an address of its own, as containers have.
        self.hosts.write_text("127.0.0.1 localhost\n" + "".join(f"127.0.1.{number} {name}\n" for number, name in enumerate(names, 1)))
        self.services = {name: Service(self, name, service) for name, service in self.described["services"].items()}

    def file(self, kind: str, name: str) -> Path:
        """The file of a secret or a config."""
        return (self.place / self.described[kind][name]["file"]).resolve()

    def volume(self, name: str, user: tuple[str, str]) -> Path:
        """The folder of a named volume."""
        assert name in self.described["volumes"]
        path = self.folder / "volumes" / name
        path.mkdir(parents=True, exist_ok=True)
        os.chown(path, *map(int, user))
        return path

    def up(self) -> None:
        """`docker compose up --detach --wait`, with the profiles that are on."""
        if not self.services:
            self._read()
        for name in self._ordered():
            service = self.services[name]
            for other, wanted in service.described.get("depends_on", {}).items():
                assert wanted == {"condition": "service_healthy"}
                self.services[other].wait_healthy()
            if service.process is None or service.process.poll() is not None:
                service.start()
        for name in self._ordered():
            self.services[name].wait_healthy()

    def _ordered(self) -> list[str]:
        """Those that are on, each behind those on which it depends."""
        wanted = {name: service for name, service in self.services.items() if set(service.described.get("profiles", self.profiles)) <= self.profiles}
        ordered: list[str] = []
        while len(ordered) < len(wanted):
            ordered += [name for name, service in wanted.items()
                        if name not in ordered and set(service.described.get("depends_on", {})) <= set(ordered)]
        return ordered

    def down(self, with_volumes: bool) -> None:
        """`docker compose down`: those first on which nobody depends."""
        for name in reversed(self._ordered()):
            self.services[name].stop()
        if with_volumes:
            shutil.rmtree(self.folder / "volumes")
