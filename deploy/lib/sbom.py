"""The bill of materials of slotstream's programs, as CycloneDX JSON.

    swift package show-dependencies --format json | python3 sbom.py VERSION BINARY... >slotstream.cdx.json

Named are the packages that Swift's package manager resolved, with the licence in each one's folder; Swift's own library, which is
linked statically like them; and the shared libraries that the binaries load, by the Debian packages that they are of.
The same input gives the same bytes: SOURCE_DATE_EPOCH is the time, and the serial number is made of the binaries' digests.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

# How a licence's text begins, and its name in SPDX's list.
_LICENCES = {"Apache License": "Apache-2.0", "MIT License": "MIT"}


def _said(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _licence(folder: Path) -> str:
    """The licence that a package's folder has."""
    for path in sorted(folder.glob("LICENSE*")):
        text = path.read_text()
        for beginning, name in _LICENCES.items():
            if beginning in text[:200]:
                return name
    sys.exit(f"sbom.py: no licence that it knows in {folder}")


def _swift_package(dependency: dict) -> dict:
    address = re.sub(r"^https://|\.git$", "", dependency["url"])
    purl = f"pkg:swift/{address}@{dependency['version']}"
    return {"type": "library", "bom-ref": purl, "name": dependency["name"], "version": dependency["version"], "purl": purl,
            "licenses": [{"license": {"id": _licence(Path(dependency["path"]))}}]}


def _swift_library() -> dict:
    version = re.search(r"Swift version (\S+)", _said("swift", "--version"))[1]
    purl = f"pkg:generic/swift@{version}"
    return {"type": "library", "bom-ref": purl, "name": "swift", "version": version, "purl": purl,
            "licenses": [{"license": {"id": "Apache-2.0"}}], "description": "Swift's standard library and runtime, linked statically"}


def _owner(library: str) -> str:
    """The Debian package of a file, also where /lib is a link to /usr/lib and the package says the other."""
    candidates = [library, os.path.realpath(library)]
    candidates += [path.removeprefix("/usr") if path.startswith("/usr/") else f"/usr{path}" for path in candidates]
    for candidate in candidates:
        done = subprocess.run(["dpkg", "-S", candidate], capture_output=True, text=True)
        if done.returncode == 0:
            return done.stdout.rpartition(": ")[0].split(", ")[0]
    sys.exit(f"sbom.py: {library} is of no Debian package")


def _debian_packages(binaries: list[str]) -> list[dict]:
    libraries = re.findall(r"(?:=> )?(/\S+) \(0x", _said("ldd", *binaries))
    components = []
    for package in sorted({_owner(library) for library in libraries}):
        name, version, architecture, source = _said(
            "dpkg-query", "-W", "-f", "${Package} ${Version} ${Architecture} ${source:Package}", package).split()
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B').replace(':', '%3A').replace('~', '%7E')}?arch={architecture}&distro=debian-12"
        components.append({"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl,
                           "properties": [{"name": "debian:source", "value": source}]})
    return components


def _walk(dependency: dict, seen: dict[str, dict]) -> None:
    """Every package once, whoever depends on it."""
    for each in dependency["dependencies"]:
        seen.setdefault(each["identity"], each)
        _walk(each, seen)


def bill(version: str, binaries: list[str], resolved: dict) -> dict:
    """The document."""
    digests = {Path(binary).name: hashlib.sha256(Path(binary).read_bytes()).hexdigest() for binary in binaries}
    seen: dict[str, dict] = {}
    _walk(resolved, seen)
    packages = {identity: _swift_package(each) for identity, each in sorted(seen.items())}
    swift, libraries = _swift_library(), _debian_packages(binaries)
    program = f"pkg:generic/slotstream@{version}"
    direct = [packages[each["identity"]]["bom-ref"] for each in resolved["dependencies"]]
    graph = [{"ref": program, "dependsOn": sorted([*direct, swift["bom-ref"], *(each["bom-ref"] for each in libraries)])}]
    graph += [{"ref": packages[identity]["bom-ref"], "dependsOn": sorted(packages[sub["identity"]]["bom-ref"] for sub in each["dependencies"])}
              for identity, each in sorted(seen.items())]
    moment = time.gmtime(int(os.environ.get("SOURCE_DATE_EPOCH") or time.time()))
    return {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, ' '.join(digests.values()))}",
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", moment),
            "component": {"type": "application", "bom-ref": program, "name": "slotstream", "version": version, "purl": program,
                          "licenses": [{"license": {"id": "Apache-2.0"}}],
                          "components": [{"type": "file", "name": name, "hashes": [{"alg": "SHA-256", "content": digest}]}
                                         for name, digest in digests.items()]},
        },
        "components": [*packages.values(), swift, *libraries],
        "dependencies": graph,
    }


if __name__ == "__main__":
    print(json.dumps(bill(sys.argv[1], sys.argv[2:], json.load(sys.stdin)), indent=1))
