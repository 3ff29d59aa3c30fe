"""An image that buildah saved, for `docker load`, without what differs from build to build.

    python3 image_archive.py SAVED TAG >ARCHIVE

Docker's form of an image, which alone has a HEALTHCHECK, also names the container that the image was made in, and that container's
host name. They mean nothing to whoever loads it; without them the same content has the same bytes.
"""

import hashlib
import io
import json
import os
import sys
import tarfile


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = len(content), 0o644, int(os.environ["SOURCE_DATE_EPOCH"])
    archive.addfile(member, io.BytesIO(content))


def write(saved: str, tag: str, output) -> None:
    """Writes the archive: configuration, layers, and the manifest that names them."""
    with tarfile.open(saved) as source, tarfile.open(fileobj=output, mode="w|", format=tarfile.GNU_FORMAT) as archive:
        manifest = json.load(source.extractfile("manifest.json"))[0]
        configuration = json.load(source.extractfile(manifest["Config"]))
        del configuration["container"], configuration["container_config"]
        del configuration["config"]["Hostname"]
        text = json.dumps(configuration, sort_keys=True, separators=(",", ":")).encode()
        name = f"{hashlib.sha256(text).hexdigest()}.json"
        _add(archive, name, text)
        for layer in manifest["Layers"]:
            _add(archive, layer, source.extractfile(layer).read())
        _add(archive, "manifest.json", json.dumps([{"Config": name, "RepoTags": [tag], "Layers": manifest["Layers"]}]).encode())


if __name__ == "__main__":
    write(sys.argv[1], sys.argv[2], sys.stdout.buffer)
