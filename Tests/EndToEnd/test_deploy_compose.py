"""`deploy/compose`, and the walk through it in `deploy/docs/compose.md`: each command as it is printed there."""

import importlib.resources
import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import yaml

from containers import Project
from servers.tools import CHECKOUT, freeze, thaw, wait_until

_COMPOSE = CHECKOUT / "deploy" / "compose"
_DOCS = CHECKOUT / "deploy" / "docs"
# The Compose Specification's own schema, as a checker of such files brings it along.
_SPECIFICATION = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"


def _described() -> dict:
    return yaml.safe_load((_COMPOSE / "compose.yaml").read_text())


def test_the_file_is_what_the_specification_allows_and_names_what_there_is():
    described = _described()
    jsonschema.Draft7Validator(json.loads(_SPECIFICATION.read_text())).validate(described)
    for kind in ("secrets", "configs", "volumes"):
        used = set()
        for service in described["services"].values():
            for each in service.get(kind, []):
                name = each["source"] if kind == "configs" else each.split(":")[0]
                if kind == "volumes" and name.startswith("."):
                    assert (_COMPOSE / name).exists()
                else:
                    used.add(name)
        assert used == described[kind].keys(), kind
    for config in described["configs"].values():
        assert (_COMPOSE / config["file"]).exists()
    for service in described["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), "nobody else's"
        assert service["restart"] == "unless-stopped"
    image = (CHECKOUT / "deploy" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["slotstream"]' in image and "WORKDIR /etc/slotstream" in image
    # What the tests run is what the consumer's image installs.
    pinned = re.search(r"^nats-py==.*$", (Path(__file__).parent / "requirements.txt").read_text(), re.MULTILINE)[0]
    assert pinned in described["services"]["consumer"]["build"]["dockerfile_inline"]
    assert described["services"]["postgres"]["image"] == "postgres:18" and described["services"]["nats"]["image"] == "nats:2-alpine"


def test_the_users_of_nats_are_those_of_the_pages():
    assert (_COMPOSE / "nats-users.conf").read_text() in (_DOCS / "security.md").read_text()
    assert (_COMPOSE / "nats-observer.conf").read_text() in (_DOCS / "observer.md").read_text()


def test_the_observer_comes_with_its_profile_only_and_writes_to_nobody_else_s_consumer():
    services = _described()["services"]
    assert {name for name, service in services.items() if service.get("profiles") == ["observer"]} == {"observer", "receiver"}
    assert services["observer"]["image"] == services["slotstream"]["image"]
    names = [re.search(r'^consumer_name = "(\w+)"', (_COMPOSE / file).read_text(), re.MULTILINE)[1] for file in ("slotstream.toml", "observer.toml")]
    assert len(set(names)) == 2


def test_the_secrets_are_made_once_and_closed_to_others(folder):
    project = Project(folder)
    subprocess.run([project.place / "secrets"], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (project.place / "secrets.d").iterdir()}
    assert made.keys() == _described()["secrets"].keys()
    assert (project.place / "secrets.d").stat().st_mode & 0o077 == 0
    assert "PASSWORD" not in made["nats_users"]
    assert all(made[name] in made["nats_users"] for name in ("nats_password", "worker_password", "observer_password"))
    assert len(set(made.values())) == len(made)
    assert made["slotstream_password"] in made["postgres_url"]
    again = subprocess.run([project.place / "secrets"], capture_output=True, text=True)
    assert again.returncode == 1 and "nothing was done" in again.stderr
    assert {path.name: path.read_text() for path in (project.place / "secrets.d").iterdir()} == made


def _steps() -> list[tuple[str, str]]:
    """The commands of the page, each with what is shown behind it."""
    steps: list[tuple[str, str]] = []
    for block in re.findall(r"```\n(.*?)```", (_DOCS / "compose.md").read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], ""))
            else:
                steps[-1] = (steps[-1][0], steps[-1][1] + line + "\n")
    return steps


class Shell:
    """Somebody who follows the page: runs its lines on a project."""

    def __init__(self, project: Project):
        self._project = project

    def run(self, line: str) -> str:
        """Does what the line says; returns what it prints."""
        words = shlex.split(line)
        if words == ["./secrets"]:
            return subprocess.run([self._project.place / "secrets"], check=True, capture_output=True, text=True).stdout
        if words[:1] == ["curl"]:
            return self._project.services["slotstream"].run(words).stdout
        assert words[:2] == ["docker", "compose"], line
        match words[2:]:
            case ["--profile", profile, "up", "--detach", "--wait"]:
                self._project.profiles.add(profile)
                self._project.up()
                return ""
            case ["up", "--detach", "--wait"] | ["start", *_]:
                self._project.up()
                return ""
            case ["exec", service, *command]:
                return self._project.services[service].run(command).stdout
            case ["logs", "--no-log-prefix", service]:
                return self._project.services[service].log.read_text()
            case ["stop", service]:
                self._project.services[service].stop()
                return ""
            case ["--profile", profile, "down", "--volumes"]:
                assert self._project.profiles == {profile}, "what is left running"
                self._project.down(with_volumes=True)
                return ""
        raise AssertionError(f"the page has a command that nobody here can do: {line}")


def _shape(text: str) -> str:
    """Less what differs from run to run: times, numbers, identifiers."""
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{8}…", "ID", text)
    return re.sub(r"\d[\d.,:/A-F]*( ?[KMG]?i?B\b)?", "9", text)


def _holds(said: str, shown: str) -> bool:
    """Whether what was said has each line that is shown, in that order; `…` stands for anything."""
    lines = iter(_shape(line) for line in said.splitlines())
    for line in shown.splitlines():
        if line.strip() == "…":
            continue
        wanted = re.escape(_shape(line)).replace("…", ".*")
        if not any(re.fullmatch(wanted, each.rstrip()) for each in lines):
            return False
    return True


def test_the_walk_through_goes_as_it_is_printed(folder, report):
    steps = _steps()
    assert len(steps) > 10
    with Project(folder) as project:
        shell = Shell(project)
        for line, shown in steps:
            said = shell.run(line)
            # A log has a line when its time comes.
            if " logs " in line:
                wait_until(lambda: _holds(shell.run(line), shown), 30, f"{line} prints {shown}: {said}")
            else:
                assert _holds(said, shown), f"{line}\n{said}\n--- is printed as\n{shown}"
        secrets = [path.read_text() for path in (project.place / "secrets.d").iterdir() if path.name.endswith("_password")]
        logs = "".join(service.log.read_text() for service in project.services.values())
        assert not any(secret in logs for secret in secrets)
        assert "every user" not in logs, "no file with a secret is open to all"
    report(f"deploy/compose: {len(steps)} commands of deploy/docs/compose.md, run as they are printed on {len(project.services)} services")


def test_a_service_has_what_the_file_gives_it_and_no_more(folder):
    with Project(folder) as project:
        subprocess.run([project.place / "secrets"], check=True, capture_output=True)
        project.profiles.add("observer")
        project.up()
        for name, service in project.services.items():
            listed = service.run(["ls", "/run/secrets"]).stdout.split()
            assert listed == sorted(_described()["services"][name].get("secrets", [])), name
        for name in ("slotstream", "consumer", "observer", "receiver"):
            service = project.services[name]
            assert "Read-only file system" in service.run(["touch", "/written"]).stdout
            said = Path(f"/proc/{service.process.pid}/status").read_text()
            assert re.search(r"^Uid:\t65532\t", said, re.MULTILINE) and re.search(r"^CapBnd:\t0+$", said, re.MULTILINE)
        # Its health check says what there is: it is not ready without NATS, and ready again with it.
        nats, slotstream = project.services["nats"].process, project.services["slotstream"]
        freeze(nats)
        wait_until(lambda: not slotstream.is_healthy, 60, "it is not ready")
        thaw(nats)
        slotstream.wait_healthy()
        project.down(with_volumes=False)
        project.up()
