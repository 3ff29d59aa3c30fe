"""A rendered pod, run as processes: each container in a mount namespace with the volumes at their paths, a root that is read-only, as its
user and without capabilities; its command, arguments and environment as they are rendered, and its probes as the kubelet runs them.

What is not Kubernetes' here: every pod has this machine's addresses, so that a test gives each its ports, by variables; and images are not
pulled: the program, and PostgreSQL, are this machine's.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from manifests import containers
from servers.tools import observer_binary, processor_seconds, slotstream_binary, tools_folder, wait_until

# Where the program is in the container; the image has it in PATH as well.
_PROGRAMS = "/app"
_PATH = f"{_PROGRAMS}:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What the kubelet sets in every container, whatever enableServiceLinks says.
_ALWAYS = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "PATH": _PATH}
# Root makes mounts directly, others in a user namespace, in which they then have the container's user.
_IS_ROOT = os.geteuid() == 0


class Container:
    """One container of a pod."""

    def __init__(self, pod: "Pod", spec: dict, environment: dict[str, str], entrypoint: list[str]):
        self.pod, self.spec, self.name = pod, spec, spec["name"]
        self.folder = pod.folder / self.name
        self.log = self.folder / "log"
        self.termination = self.folder / "termination-log"
        declared = {each["name"]: each["value"] for each in spec.get("env", [])}
        for source in spec.get("envFrom", []):
            declared = pod.secrets[source["secretRef"]["name"]] | declared
        self.environment = _ALWAYS | {"HOSTNAME": pod.name} | declared | environment
        self._entrypoint = entrypoint
        self.process: subprocess.Popen | None = None
        self._root = self.folder / "root"
        self._make_root()

    def _make_root(self) -> None:
        for part in ("usr", "proc", "dev", "etc", "app", "tmp", "run", "var", *(("lib", "lib64", "bin", "sbin"))):
            place = Path("/", part)
            (self._root / part).parent.mkdir(parents=True, exist_ok=True)
            if place.is_symlink():
                (self._root / part).symlink_to(os.readlink(place))
            else:
                (self._root / part).mkdir(exist_ok=True)
        self._root.chmod(0o755)
        (self._root / "etc" / "hosts").write_text("127.0.0.1 localhost nats postgres\n")
        (self._root / "etc" / "passwd").write_text("slotstream:x:65532:65532::/:/none\npostgres:x:999:999::/:/none\n")
        self.termination.touch()
        self.termination.chmod(0o666)
        program = {"slotstream-observer": observer_binary}.get(self.name, slotstream_binary)()
        self._mounts: list[tuple[Path, str, bool]] = [(Path("/usr"), "/usr", True), (program, f"{_PROGRAMS}/{program.name}", True)]
        self._mounts += [(Path("/dev") / each, f"/dev/{each}", False) for each in ("null", "zero", "urandom", "random")]
        self._mounts.append((self.termination, self.spec.get("terminationMessagePath", "/dev/termination-log"), False))
        if (tools := tools_folder()).is_dir():
            self._mounts.append((tools, str(tools), True))
        for mount in self.spec.get("volumeMounts", []):
            self._mounts.append((self.pod.volumes[mount["name"]], mount["mountPath"], mount.get("readOnly", False)))
        for source, target, _ in self._mounts:
            inside = self._root / target.lstrip("/")
            inside.parent.mkdir(parents=True, exist_ok=True)
            inside.mkdir(exist_ok=True) if source.is_dir() else inside.touch()

    def _identity(self) -> list[str]:
        """The user, and none of root's powers."""
        user, group, volumes = self._user
        change = ["--reuid", user, "--regid", group, "--groups", volumes] if _IS_ROOT else []
        return ["setpriv", *change, "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--pdeathsig=KILL", "--"]

    @property
    def _user(self) -> list[str]:
        """User, group, and the group of the volumes."""
        security = self.pod.spec["securityContext"] | self.spec["securityContext"]
        return [str(security[name]) for name in ("runAsUser", "runAsGroup", "fsGroup")]

    def start(self) -> None:
        """Starts it: from here on its process id is the program's."""
        lines = ["set -e", 'root=$1; shift', 'mount --bind "$root" "$root"']
        for source, target, read_only in self._mounts:
            lines.append(f'mount --bind "{source}" "$root{target}"')
            if read_only:
                lines.append(f'mount -o remount,bind,ro "$root{target}"')
        lines += ['mount --rbind /proc "$root/proc"']
        if self.spec["securityContext"].get("readOnlyRootFilesystem"):
            lines.append('mount -o remount,bind,ro "$root"')
        lines.append('exec chroot "$root" "$@"')
        user, group, _ = self._user
        own = [] if _IS_ROOT else ["--user", f"--map-user={user}", f"--map-group={group}", "--keep-caps"]
        command = [*self._entrypoint, *self.spec.get("command", []), *self.spec.get("args", [])]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["unshare", *own, "--mount", "sh", "-c", "\n".join(lines), "sh", str(self._root), *self._identity(), *command],
                env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def execute(self, *command: str, seconds: float = 30) -> subprocess.CompletedProcess:
        """A command in the running container, as `kubectl exec` and the kubelet's probes run them."""
        enter = ["nsenter", f"--target={self.process.pid}", "--mount", "--root", *([] if _IS_ROOT else ["--user", "--preserve-credentials"])]
        return subprocess.run([*enter, "--", *self._identity(), *command], env=self.environment, capture_output=True, text=True,
                              timeout=seconds)

    def probe(self, which: str) -> subprocess.CompletedProcess:
        """`livenessProbe` or `readinessProbe`: the exit code, and what the pod's event would say."""
        probe = self.spec[which]
        if "httpGet" in probe:
            return self._asked(probe["httpGet"]["path"], probe["timeoutSeconds"])
        return self.execute(*probe["exec"]["command"], seconds=probe["timeoutSeconds"])

    def _asked(self, path: str, seconds: float) -> subprocess.CompletedProcess:
        """A probe by HTTP, at the address that the test gave it: 0 where the kubelet takes the answer for a yes."""
        try:
            with urllib.request.urlopen(f"http://{self._listens}{path}", timeout=seconds) as answer:
                return subprocess.CompletedProcess([path], 0 if 200 <= answer.status < 400 else 1, answer.read().decode(), "")
        except (OSError, urllib.error.HTTPError) as error:
            return subprocess.CompletedProcess([path], 1, "", str(error))

    @property
    def _listens(self) -> str:
        """The address that the test gave it."""
        return self.environment.get("SLOTSTREAM_OBSERVER_WORKER_LISTEN") or self.environment["SLOTSTREAM_HTTP_LISTEN"]

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process is not None and self.process.poll() is None

    def is_ready(self) -> bool:
        """What the kubelet would say: running, and its readiness probe, if any, says yes. A container that has ended fails the test."""
        assert self.running, f"{self.pod.name}/{self.name} ended with {self.process.returncode}: {self.last_words()}"
        return "readinessProbe" not in self.spec or self.probe("readinessProbe").returncode == 0

    def wait(self, seconds: float) -> int:
        """The exit code of a container that ends by itself."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.pod.name}/{self.name} still runs after {seconds:g} s: {self.last_words()}") from None

    def end(self, number: int = signal.SIGTERM) -> int:
        """The signal, and the exit code within the pod's grace period, after which the kubelet would kill."""
        self.process.send_signal(number)
        return self.wait(self.pod.spec["terminationGracePeriodSeconds"])

    def entries(self, message: str) -> list[dict]:
        """The log's entries with this message."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [entry for line in lines if line.startswith("{") and (entry := json.loads(line)).get("message") == message]

    def status(self) -> dict:
        """/status, at the address that the test gave it."""
        with urllib.request.urlopen(f"http://{self._listens}/status", timeout=10) as answer:
            return json.load(answer)

    def cpu_seconds(self) -> float:
        """User and system time so far."""
        return processor_seconds(self.process.pid)

    def last_words(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-3000:] if self.log.exists() else "no log"


class Pod:
    """The pod of a template.

    `objects`: what was rendered, for the ConfigMaps. `secrets`: the content of each Secret. `environment`: variables for each container
    by its name, besides those rendered. `entrypoints`: of images that have one, by the container's name.
    """

    def __init__(self, name: str, folder: Path, template: dict, objects: list[dict], secrets: dict[str, dict[str, str]],
                 environment: dict[str, dict[str, str]] | None = None, entrypoints: dict[str, list[str]] | None = None):
        self.name, self.folder, self.spec, self.secrets = name, folder / name, template["spec"], secrets
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o755)
        group = self.spec["securityContext"]["fsGroup"]
        self.volumes = {}
        for volume in [*self.spec["volumes"], *({"name": "data", "emptyDir": {}} for _ in "." if "data" in _mounted(self.spec))]:
            place = self.volumes[volume["name"]] = self.folder / "volumes" / volume["name"]
            place.mkdir(parents=True)
            if "secret" in volume:
                content, mode = secrets[volume["secret"]["secretName"]], volume["secret"]["defaultMode"]
            elif "configMap" in volume:
                [found] = [each for each in objects if each["kind"] == "ConfigMap" and each["metadata"]["name"] == volume["configMap"]["name"]]
                content, mode = found["data"], 0o644
            else:
                content, mode = {}, 0
            for key, text in content.items():
                (place / key).write_text(text)
                (place / key).chmod(mode)
                _give(place / key, group)
            place.chmod(0o2770 if not content else 0o750 if "secret" in volume else 0o755)
            _give(place, group)
        self.containers = [Container(self, each, (environment or {}).get(each["name"], {}), (entrypoints or {}).get(each["name"], []))
                           for each, _ in containers(self.spec)]

    def __getitem__(self, name: str) -> Container:
        [found] = [each for each in self.containers if each.name == name]
        return found

    def start(self) -> None:
        """Starts its containers in their order; a sidecar without a startup probe counts as started at once."""
        for container in self.containers:
            container.start()

    def is_ready(self) -> bool:
        """Whether each container is: what a Service and a rollout go by."""
        return all(container.is_ready() for container in self.containers)

    def wait_ready(self, seconds: float = 60) -> None:
        """Until it is ready."""
        wait_until(self.is_ready, seconds, f"{self.name} is ready, see {self.folder}", 0.1)

    def close(self) -> None:
        """Kills what runs."""
        for container in self.containers:
            if container.running:
                container.process.kill()
                container.process.wait()


def _mounted(spec: dict) -> set[str]:
    return {mount["name"] for container, _ in containers(spec) for mount in container.get("volumeMounts", [])}


def _give(place: Path, group: int) -> None:
    """Root's and the pod's group's, as the kubelet does with fsGroup."""
    if _IS_ROOT:
        os.chown(place, 0, group)
