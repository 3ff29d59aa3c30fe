"""The tarball and the Debian package that deploy/release makes: their content, and their life in a Debian with nothing else."""

import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from debian import Root, require_root
from released import one, place, release  # noqa: F401
from servers.tools import CHECKOUT, installed, observer_binary, slotstream_binary
from streamer import Streamer
from tenants import own, tenant_maker, tenants  # noqa: F401
from windows import wait_anchor


@pytest.fixture(scope="module")
def released(place) -> Path:
    """A release: the folder."""
    return release(place / "first", "tarball", "deb", "sbom")


@pytest.fixture(scope="module")
def unpacked(released, place) -> Path:
    """The tarball's content."""
    folder = place / "unpacked"
    folder.mkdir()
    subprocess.run(["tar", "--extract", "--file", one(released, "*-linux-*.tar.gz"), "--directory", folder, "--strip-components=1"], check=True)
    return folder


def _digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir()) if path.name != "SHA256SUMS"}


def test_the_same_input_gives_the_same_bytes_and_the_sums_are_theirs(released, place):
    again = release(place / "again", "tarball", "deb", "sbom")
    digests = _digests(released)
    assert len(digests) == 3 and _digests(again) == digests
    sums = dict(reversed(line.split()) for line in (released / "SHA256SUMS").read_text().splitlines())
    assert sums == digests


_PROGRAMS = (slotstream_binary, observer_binary)


def _commands(binary: Path, arguments: tuple[str, ...] = ()) -> set[str]:
    """Every command that the program's help lists, as `slotstream-slot-advance`, the program among them."""
    said = subprocess.run([binary, *arguments, "--help"], check=True, capture_output=True, text=True).stdout
    listed = said.partition("SUBCOMMANDS:")[2].split("\n\n")[0]
    names = [line.split()[0] for line in listed.splitlines() if line.startswith("  ") and not line.startswith("   ")]
    return {"-".join((binary.name, *arguments))}.union(*(_commands(binary, (*arguments, name)) for name in names))


def test_man_shows_a_page_of_each_command_and_of_the_file_without_a_warning(unpacked):
    man = installed("man", "apt-get install man-db")
    pages = {path.name: path for path in unpacked.glob("share/man/man*/*")}
    commands = set().union(*(_commands(program()) for program in _PROGRAMS))
    assert {"slotstream-slot-advance", "slotstream-observer-dead-retry"} < commands
    assert set(pages) == {"slotstream.toml.5"} | {f"{command}.1" for command in commands}
    shown = {}
    for name, path in pages.items():
        done = subprocess.run([man, "--warnings", "--local-file", path], capture_output=True, text=True, env={"LC_ALL": "C.UTF-8", "MANWIDTH": "200"})
        assert (done.returncode, done.stderr) == (0, ""), name
        shown[name] = done.stdout
    assert re.search(r"--accept-gap\s+\w", shown["slotstream-slot-advance.1"])
    keys = subprocess.run([slotstream_binary(), "config"], check=True, capture_output=True, text=True, cwd=unpacked, env={}).stdout
    for line in keys.splitlines():
        assert line.split(" = ")[0] in shown["slotstream.toml.5"]


def test_the_bill_of_materials_is_valid_and_names_what_is_linked_and_loaded(released):
    text = one(released, "*.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    bill = json.loads(text)
    versions = {component["name"]: component["version"] for component in bill["components"]}
    for address, version in re.findall(r'url: "(\S+)\.git", exact: "(\S+)"', (CHECKOUT / "Package.swift").read_text()):
        assert versions[address.rpartition("/")[2]] == version
    assert {"libc6", "libnats3.4", "libpq5", "libssl3", "libldap-2.5-0", "libcurl4", "swift"} <= set(versions)
    assert [part["name"] for part in bill["metadata"]["component"]["components"]] == ["slotstream", "slotstream-observer"]
    assert all("licenses" in component for component in bill["components"] if component["purl"].startswith("pkg:swift/"))


def test_what_the_bill_names_brings_its_licence(unpacked):
    bill = json.loads((unpacked / "share/doc/slotstream/slotstream.cdx.json").read_text())
    linked = {component["name"] for component in bill["components"] if component["purl"].startswith("pkg:swift/")}
    folders = unpacked / "share/doc/slotstream/licenses"
    assert linked <= {path.name for path in folders.iterdir()}
    assert all(list((folders / name).glob("LICENSE*")) for name in linked)


@pytest.mark.parametrize("program", ["slotstream", "slotstream-observer"])
def test_the_units_in_the_tarball_start_the_program_of_the_tarball(unpacked, program):
    for unit, file in ((program, "slotstream.toml"), (f"{program}@", "%i.toml")):
        text = (unpacked / f"lib/systemd/system/{unit}.service").read_text()
        assert f"=/usr/local/bin/{program} run --config /etc/slotstream/{file}\n" in text and "/usr/bin/slotstream" not in text


def test_the_package_has_the_same_units_as_the_tarball(released, unpacked):
    listed = subprocess.run(["dpkg-deb", "--contents", one(released, "*.deb")], check=True, capture_output=True, text=True).stdout
    units = {path.name for path in (unpacked / "lib/systemd/system").iterdir()}
    assert set(re.findall(r"/systemd/system/(\S+)$", listed, re.MULTILINE)) == units and len(units) == 4


@pytest.mark.parametrize("program", ["slotstream", "slotstream-observer"])
def test_each_shell_has_the_completions_of_both_programs(unpacked, program):
    for path in ("bash-completion/completions/{}", "zsh/site-functions/_{}", "fish/vendor_completions.d/{}.fish"):
        assert program in (unpacked / "share" / path.format(program)).read_text()


def test_lintian_finds_nothing(released):
    lintian = installed("lintian", "apt-get install lintian")
    done = subprocess.run([lintian, "--fail-on", "error,warning", "--allow-root", one(released, "*.deb")], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


def _streams_in(root: Root, tenant, binary: str = "/usr/bin/slotstream") -> Streamer:
    """A streamer of the tenant's that runs in that root, as the package's user, and reads its configuration there."""
    streamer = Streamer(tenant.servers.folder / f"{tenant.name}-in-{root.folder.name}", tenant.conninfo, tenant.nats.url,
                        tenant.overrides, prefix=root.prefix("slotstream"), binary=Path(binary))
    root.write(str(streamer.config), streamer.config.read_text())
    tenant.streamers.append(streamer)
    tenant.streamer = streamer
    return streamer


def _libraries_are_there(root: Root, binary: str) -> None:
    """Of both programs; the second one starts, so that each is of a version that it can use."""
    said = root.run("ldd", binary, f"{binary}-observer").stdout
    assert "libnats" in said and "libpq" in said and "libcurl.so.4" in said and "not found" not in said
    assert re.match(r"\d+\.\d+\.\d+", root.run(f"{binary}-observer", "--version").stdout)


def test_the_package_lives_in_a_clean_debian_from_its_installation_to_its_purge(released, place, newest_pair, own):
    require_root()
    root = Root(place / "debian")
    root.install(one(released, "*.deb"))
    _libraries_are_there(root, "/usr/bin/slotstream")
    assert root.run("stat", "--format", "%U %a", "/etc/slotstream/credentials").stdout.split() == ["root", "700"]
    assert not root.has("/etc/systemd/system/multi-user.target.wants/slotstream.service"), "nothing starts that is not configured"
    # Installed and started.
    tenant = own(newest_pair, setup=False, overrides={"replay": {"window": "10m"}})
    streamer = _streams_in(root, tenant)
    streamer.setup()
    streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    wait_anchor(tenant)
    assert streamer.terminate() == 0
    # An administrator's file is asked for by the scripts.
    configuration = streamer.config.read_text()
    root.write("/etc/slotstream/slotstream.toml", configuration)
    root.write("/etc/slotstream/credentials/postgres.url", "postgres://\n", 0o600)
    # Upgraded.
    upgrade = one(release(place / "second", "--revision", "2", "deb"), "*.deb")
    root.install(upgrade)
    assert root.run("dpkg-query", "--show", "--showformat", "${Version}", "slotstream").stdout.endswith("-2")
    assert root.read("/etc/slotstream/slotstream.toml") == configuration
    tenant.commit_each(4, 6)
    streamer.start()
    tenant.wait_stored(6)
    tenant.wait_confirmed()
    assert streamer.terminate() == 0
    tenant.wait_free()
    tenant.require_exact(1, 2, 3, 4, 5, 6)
    # Removed: what stays is told, with the command that drops it.
    said = root.apt("remove", "slotstream")
    assert tenant.name in said and "holding WAL" in said
    assert not root.has("/usr/bin/slotstream") and root.has("/etc/slotstream/credentials/postgres.url")
    statement = re.search(r'psql -d DATABASE -c "(SELECT pg_drop_replication_slot.*)"', said)[1]
    names = "SELECT slot_name FROM pg_replication_slots WHERE database = current_database() ORDER BY 1"
    with tenant.connect() as connection:
        assert connection.execute(names).fetchall() == [(tenant.name,), (f"{tenant.name}_anchor",)]
        connection.execute(statement)
        assert connection.execute(names).fetchall() == []
    # Purged.
    assert "pg_drop_replication_slot" in root.apt("purge", "slotstream")
    assert not root.has("/etc/slotstream")


def test_the_tarball_runs_in_a_clean_debian_with_the_packages_that_its_page_names(unpacked, place, newest_pair, tenants):
    require_root()
    page = (CHECKOUT / "deploy/docs/packages.md").read_text()
    packages = re.search(r"^apt-get install (lib.*)$", page, re.MULTILINE)[1].split()
    root = Root(place / "debian-of-the-tarball")
    root.apt("update")
    root.apt("install", *packages)
    shutil.copytree(unpacked, root.folder / "usr/local", dirs_exist_ok=True)
    _libraries_are_there(root, "/usr/local/bin/slotstream")
    root.run("useradd", "--system", "slotstream")
    tenant = tenants(newest_pair, setup=False)
    streamer = _streams_in(root, tenant, "/usr/local/bin/slotstream")
    streamer.setup()
    streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert streamer.terminate() == 0
    tenant.require_exact(1, 2, 3)
