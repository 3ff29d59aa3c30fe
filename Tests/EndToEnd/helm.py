"""Helm, by its own library: the chart is linted, and installed into an API server of ours, which keeps what it is given.

The library is Go's, with threads and signal handlers of its own: each call has a process of its own (`python helm.py`).
"""

import ctypes
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlparse

# What the API server says it has: group and version, kind, plural.
_KINDS = {
    "v1": {"ServiceAccount": "serviceaccounts", "ConfigMap": "configmaps", "Service": "services", "Pod": "pods"},
    "apps/v1": {"Deployment": "deployments", "StatefulSet": "statefulsets"},
    "batch/v1": {"Job": "jobs"},
    "policy/v1": {"PodDisruptionBudget": "poddisruptionbudgets"},
    "networking.k8s.io/v1": {"NetworkPolicy": "networkpolicies"},
    "monitoring.coreos.com/v1": {"PodMonitor": "podmonitors", "PrometheusRule": "prometheusrules"},
}
_PLURALS = {plural: kind for kinds in _KINDS.values() for kind, plural in kinds.items()}
_NAMESPACE = "shop"


class HelmError(Exception):
    """Helm's own words."""


class _Handler(BaseHTTPRequestHandler):
    """The part of Kubernetes' API that `helm install` asks: versions, kinds, and objects, which are kept as they are posted."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 - http.server's name
        path = urlparse(self.path).path.strip("/")
        self._answer(*self._get(path))

    def do_POST(self) -> None:  # noqa: N802
        posted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        place = urlparse(self.path).path.strip("/")
        self.server.objects[f"{place}/{posted['metadata']['name']}"] = posted
        self.server.posted.append(json.loads(json.dumps(posted)))
        if posted["kind"] == "Job":
            # Helm waits for its hooks: every Job here is done at once.
            done = [{"type": kind, "status": "True"} for kind in ("SuccessCriteriaMet", "Complete")]
            posted["status"] = {"conditions": done, "succeeded": 1, "startTime": "2026-01-01T00:00:00Z"}
        self._answer(201, posted)

    def do_DELETE(self) -> None:  # noqa: N802
        # A hook's object is removed before it is made, should one be there.
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        removed = self.server.objects.pop(urlparse(self.path).path.strip("/"), None)
        self._answer(200 if removed else 404, _status("Success" if removed else "Failure"))

    def _get(self, path: str) -> tuple[int, dict]:
        if path == "version":
            return 200, {"major": "1", "minor": "37", "gitVersion": "v1.37.0"}
        if path == "api":
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if path == "apis":
            groups = [{"name": name.split("/")[0], "versions": [{"groupVersion": name, "version": "v1"}],
                       "preferredVersion": {"groupVersion": name, "version": "v1"}} for name in _KINDS if "/" in name]
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        if path.startswith("openapi/v3"):
            return 200, _openapi(path.removeprefix("openapi/v3").strip("/"))
        version = path.removeprefix("apis/").removeprefix("api/")
        if version in _KINDS:
            resources = [{"name": plural, "kind": kind, "namespaced": True, "verbs": ["create", "get", "list", "watch", "delete"]}
                         for kind, plural in _KINDS[version].items()]
            return 200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": resources}
        if path in self.server.objects:
            return 200, self.server.objects[path]
        last = path.rsplit("/", 1)[-1]
        if last in _PLURALS:
            items = [kept for place, kept in self.server.objects.items() if place.startswith(f"{path}/")]
            kind = {"apiVersion": path.removeprefix("apis/").removeprefix("api/").split("/namespaces/")[0], "kind": f"{_PLURALS[last]}List"}
            return 200, kind | {"metadata": {"resourceVersion": "1"}, "items": items}
        return 404, _status("Failure")

    def _answer(self, status: int, body: dict) -> None:
        said = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        try:
            self.wfile.write(said)
        except BrokenPipeError:
            # Of a watch only the beginning is read: Helm then asks for a list.
            self.close_connection = True

    def log_message(self, *_arguments) -> None:
        """Nothing: what was posted is what is looked at."""


def _openapi(place: str) -> dict:
    """What makes Helm leave the validation of hooks to the server: it says that it takes the parameter for that. (The tests validate
    what was posted against Kubernetes' own schemas.)"""
    if not place:
        places = [f"apis/{name}" if "/" in name else f"api/{name}" for name in _KINDS]
        return {"paths": {each: {"serverRelativeURL": f"/openapi/v3/{each}"} for each in places}}
    name = place.removeprefix("apis/").removeprefix("api/")
    group, _, version = name.rpartition("/")
    paths = {f"/{kind}": {"patch": {"parameters": [{"name": "fieldValidation", "in": "query"}], "responses": {},
                                    "x-kubernetes-group-version-kind": {"group": group, "version": version, "kind": kind}}}
             for kind in _KINDS[name]}
    return {"openapi": "3.0.0", "info": {"title": "test", "version": "1"}, "paths": paths}


def _status(outcome: str) -> dict:
    return {"kind": "Status", "apiVersion": "v1", "status": outcome} | ({"reason": "NotFound", "code": 404} if outcome == "Failure" else {})


class _Library:
    """libhelm_sdkpy.so, with a configuration that leads to an API server."""

    def __init__(self, path: str, kubeconfig: str = ""):
        self._library = ctypes.CDLL(path)
        self._library.helm_sdkpy_last_error.restype = ctypes.c_char_p
        self._handle = ctypes.c_ulonglong()
        made = self._library.helm_sdkpy_config_create(_NAMESPACE.encode(), kubeconfig.encode(), None, b"{}", ctypes.byref(self._handle))
        self._require(made)

    def lint(self, chart: str) -> dict:
        return self._call("helm_sdkpy_lint", chart.encode())

    def install(self, release: str, chart: str, values: dict) -> dict:
        options = {"wait": False, "timeout_seconds": 60, "server_side_apply": "false", "disable_openapi_validation": True}
        arguments = (release, chart, json.dumps(values), "", json.dumps(options))
        return self._call("helm_sdkpy_install", *(argument.encode() for argument in arguments))

    def _call(self, name: str, *arguments: bytes) -> dict:
        result = ctypes.c_char_p()
        self._require(getattr(self._library, name)(self._handle, *arguments, ctypes.byref(result)))
        return json.loads(result.value)

    def _require(self, code: int) -> None:
        if code:
            raise HelmError(self._library.helm_sdkpy_last_error().decode())


def _installed(library: str, release: str, chart: str, values: dict) -> dict:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.objects, server.posted = {}, []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.NamedTemporaryFile("w", suffix=".json") as kubeconfig:
        cluster = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
        json.dump({"apiVersion": "v1", "kind": "Config", "clusters": [cluster], "current-context": "test", "users": [],
                   "contexts": [{"name": "test", "context": {"cluster": "test", "namespace": _NAMESPACE}}]}, kubeconfig)
        kubeconfig.flush()
        result = _Library(library, kubeconfig.name).install(release, chart, values)
    return {"objects": server.posted, "result": result}


def _run(library: Path, request: dict) -> dict:
    """Carries the request out in a process of its own."""
    # What Helm keeps of a release stays in its memory: on the server it would be a Secret.
    done = subprocess.run([sys.executable, __file__, str(library)], input=json.dumps(request), capture_output=True, text=True, timeout=120,
                          env=os.environ | {"HELM_DRIVER": "memory"})
    if done.returncode:
        raise HelmError(done.stderr.strip().splitlines()[-1] if done.stderr else f"exit code {done.returncode}")
    return json.loads(done.stdout)


def lint(library: Path, chart: Path) -> dict:
    """What `helm lint` finds."""
    return _run(library, {"lint": str(chart)})


def install(library: Path, release: str, chart: Path, values: dict | None = None) -> list[dict]:
    """The objects that `helm install` posts, hooks among them, in the order in which it does."""
    return _run(library, {"install": str(chart), "release": release, "values": values or {}})["objects"]


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    if "lint" in asked:
        print(json.dumps(_Library(sys.argv[1]).lint(asked["lint"])))
    else:
        print(json.dumps(_installed(sys.argv[1], asked["release"], asked["install"], asked["values"])))
