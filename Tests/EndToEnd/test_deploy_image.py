"""The container image that deploy/Dockerfile makes, built by buildah on a base of debootstrap's: what is in it, and that it streams."""

import gzip
import hashlib
import json
import re
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from debian import base, require_root
from released import one, place, release  # noqa: F401
from servers.tools import installed
from streamer import Streamer
from tenants import tenant_maker, tenants  # noqa: F401

# What it may have unpacked, at most.
_MOST_BYTES = 100_000_000


def _buildah(place: Path) -> Callable[..., str]:
    """Runs buildah on storage of the test's own; returns what it prints."""
    buildah = [installed("buildah", "apt-get install buildah"), "--root", place / "storage", "--runroot", place / "run", "--storage-driver", "vfs"]

    def run(*command) -> str:
        done = subprocess.run([*buildah, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.fixture(scope="module")
def debian_image(place) -> str:
    """Debian's own image cannot be pulled here: the same Debian as debootstrap makes it, as an archive that buildah reads."""
    require_root()
    run = _buildah(place)
    container = run("from", "scratch")
    run("add", "--quiet", container, base(), "/")
    run("commit", "--quiet", "--rm", container, f"oci-archive:{place}/debian.tar")
    return f"oci-archive:{place}/debian.tar"


@pytest.fixture(scope="module")
def archive(debian_image, place) -> Path:
    """The image, as `docker load` takes it."""
    return one(release(place / "first", "--debian-image", debian_image, "image"), "*-image-*.tar.gz")


@pytest.fixture(scope="module")
def image(archive, place) -> tuple[dict, Path]:
    """Its configuration, and its root as a container has it."""
    with tarfile.open(archive) as saved:
        manifest = json.load(saved.extractfile("manifest.json"))[0]
        configuration = json.load(saved.extractfile(manifest["Config"]))
        root = place / "root"
        root.mkdir()
        for layer in manifest["Layers"]:
            path = place / "layer.tar"
            path.write_bytes(saved.extractfile(layer).read())
            subprocess.run(["tar", "--extract", "--file", path, "--directory", root], check=True)
    return configuration, root


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def test_it_is_made_again_with_the_same_bytes(archive, debian_image, place):
    again = one(release(place / "again", "--debian-image", debian_image, "image"), "*-image-*.tar.gz")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(archive.read_bytes()).digest()


def test_its_configuration_is_what_a_cluster_and_a_registry_want(image):
    configuration, _ = image
    assert configuration["config"]["User"] == "65532:65532"
    assert configuration["config"]["Entrypoint"] == ["slotstream"] and configuration["config"]["Cmd"] == ["run"]
    assert configuration["config"]["Healthcheck"]["Test"] == ["CMD", "slotstream", "health"]
    assert configuration["config"]["StopSignal"] == "SIGTERM"
    labels = configuration["config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "slotstream"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["org.opencontainers.image.version"])
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert labels["org.opencontainers.image.created"] == configuration["created"]


def test_it_is_small_and_has_no_programs_but_its_own(image, report):
    _, root = image
    size = sum(path.stat().st_size for path in _files(root))
    report(f"image: {size / 1e6:.0f} MB unpacked")
    assert size < _MOST_BYTES
    runnable = [path.relative_to(root).as_posix() for path in _files(root) if path.stat().st_mode & 0o111 and ".so" not in path.name]
    assert sorted(runnable) == ["usr/bin/slotstream", "usr/bin/slotstream-observer"]
    assert not [path for path in root.rglob("*") if path.lstat().st_mode & (stat.S_ISUID | stat.S_ISGID)]


def test_its_shared_libraries_are_those_that_the_programs_load_and_their_packages_are_on_record(image):
    _, root = image
    loader = next(root.glob("usr/lib*/ld-linux-*.so.*")).relative_to(root)
    listed = "".join(subprocess.run(["chroot", root, f"/{loader}", "--list", f"/usr/bin/{program}"], check=True, capture_output=True, text=True).stdout
                     for program in ("slotstream", "slotstream-observer"))
    assert "not found" not in listed and "libcurl.so.4" in listed
    loaded = {(root / path.lstrip("/")).resolve().name for path in re.findall(r"(/\S+) \(0x", listed)}
    there = {path.name for path in _files(root) if ".so" in path.name and "ossl-modules" not in path.parts}
    assert there == loaded and len(there) > 20
    recorded = {path.name for path in (root / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "libnats3.4", "libpq5", "libssl3", "libcurl4", "ca-certificates"} <= recorded
    assert all((root / "usr/share/doc" / package / "copyright").exists() for package in recorded)


def test_an_engine_loads_it_and_runs_its_command(archive, place):
    # `docker load` and `podman load` decompress it; buildah does not.
    loaded = place / "image.tar"
    loaded.write_bytes(gzip.decompress(archive.read_bytes()))
    run = _buildah(place)
    container = run("from", f"docker-archive:{loaded}")
    for program in ("slotstream", "slotstream-observer"):
        assert re.match(r"\d+\.\d+\.\d+", run("run", "--isolation", "chroot", container, "--", program, "--version"))
    run("rm", container)


def _container(root: Path, tenant) -> Streamer:
    """The container's command, as the image's user, with its /proc and a root that cannot be written; the configuration is mounted."""
    entered = ('mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && mount -t proc proc "$0/proc" && '
               'exec chroot --userspec=65532:65532 "$0" "$@"')
    streamer = Streamer(tenant.servers.folder / f"{tenant.name}-container", tenant.conninfo, tenant.nats.url, tenant.overrides,
                        prefix=["unshare", "--mount", "sh", "-c", entered, str(root)], binary=Path("/usr/bin/slotstream"))
    mounted = root / str(streamer.config).lstrip("/")
    mounted.parent.mkdir(parents=True)
    shutil.copy(streamer.config, mounted)
    tenant.streamers.append(streamer)
    tenant.streamer = streamer
    return streamer


def test_its_container_streams_with_a_root_that_cannot_be_written(image, newest_pair, tenants):
    configuration, root = image
    tenant = tenants(newest_pair, setup=False)
    streamer = _container(root, tenant)
    _, health, *words = configuration["config"]["Healthcheck"]["Test"]
    assert health == "slotstream"
    assert streamer.command(*words, expect=1).returncode == 1
    streamer.start()
    tenant.commit_each(1, 3)
    tenant.wait_stored(3)
    assert streamer.command(*words).returncode == 0
    assert streamer.terminate() == 0
    tenant.require_exact(1, 2, 3)
