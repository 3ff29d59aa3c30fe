"""What `deploy/kubernetes` and the chart render, as objects, and what every one of them has to keep to."""

import copy
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from servers.tools import CHECKOUT, tools_folder

KUBERNETES = CHECKOUT / "deploy" / "kubernetes"
CHART = CHECKOUT / "deploy" / "helm" / "slotstream"
OVERLAYS = sorted(path.name for path in (KUBERNETES / "overlays").iterdir())
JOBS = [name.removeprefix("job-") for name in OVERLAYS if name.startswith("job-")]


def kustomized(folder: Path) -> list[dict]:
    """What `kubectl kustomize` prints for this folder."""
    done = subprocess.run([tools_folder() / "bin" / "kubectl", "kustomize", folder], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not done.stderr, f"kubectl kustomize warns: {done.stderr}"
    return list(yaml.safe_load_all(done.stdout))


def overlay(name: str) -> list[dict]:
    """An overlay's objects."""
    return kustomized(KUBERNETES / "overlays" / name)


def of_kind(objects: list[dict], kind: str) -> dict:
    """The one object of this kind."""
    [found] = [each for each in objects if each["kind"] == kind]
    return found


def pod_template(workload: dict) -> dict:
    """The template of a Deployment, StatefulSet or Job."""
    return workload["spec"]["template"]


def workload(objects: list[dict]) -> dict:
    """The one object that makes pods."""
    [found] = [each for each in objects if each["kind"] in ("Deployment", "StatefulSet", "Job")]
    return found


def containers(pod: dict) -> Iterator[tuple[dict, bool]]:
    """A pod's containers, and whether each is a sidecar."""
    for container in pod.get("initContainers", []):
        yield container, container.get("restartPolicy") == "Always"
    for container in pod["containers"]:
        yield container, False


def violations(objects: list[dict]) -> list[str]:
    """What is wrong with a set of objects that are applied together: the restricted pod security standard, and our own rules."""
    found = [f"{each['kind']} {each['metadata']['name']}: a Secret is not ours to render" for each in objects if each["kind"] == "Secret"]
    for each in objects:
        if each["kind"] == "ServiceAccount" and each.get("automountServiceAccountToken") is not False:
            found.append(f"ServiceAccount {each['metadata']['name']} gives a token")
    template = pod_template(workload(objects))
    runs_on = workload(objects)["kind"] != "Job"
    found += _pod_violations(template["spec"])
    for container, is_sidecar in containers(template["spec"]):
        found += [f"{container['name']}: {what}" for what in _container_violations(container, template["spec"], runs_on, is_sidecar)]
    return [*found, *_reference_violations(objects, template)]


# The volumes that the restricted standard allows.
_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def _pod_violations(pod: dict) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True:
        yield "pod: may run as root"
    if security.get("runAsUser", 0) == 0:
        yield "pod: no numeric user"
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "pod: no seccomp profile"
    if security.get("sysctls"):
        yield "pod: sysctls"
    yield from (f"pod: {name}" for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name))
    if pod.get("automountServiceAccountToken") is not False:
        yield "pod: a token is mounted"
    if pod.get("enableServiceLinks") is not False:
        yield "pod: variables of every Service"
    for volume in pod.get("volumes", []):
        [kind] = set(volume) - {"name"}
        if kind not in _VOLUMES:
            yield f"pod: a volume {kind}"
        if kind == "secret" and volume[kind].get("defaultMode", 0o644) & 0o007:
            yield f"pod: the secret {volume['name']} is open to others"


def _container_violations(container: dict, pod: dict, runs_on: bool, is_sidecar: bool) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False:
        yield "privilege escalation"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written"
    if security.get("capabilities") != {"drop": ["ALL"]}:
        yield "capabilities"
    if security.get("runAsNonRoot") is False or security.get("runAsUser") == 0:
        yield "runs as root"
    yield from (name for name in ("privileged", "procMount") if security.get(name))
    if any("hostPort" in port for port in container.get("ports", [])):
        yield "a port of the host"
    if not re.search(r"(:(?!latest$)[\w.-]+|@sha256:[0-9a-f]{64})$", container["image"].rsplit("/", 1)[-1]):
        yield f"the image {container['image']} has no version"
    resources = container.get("resources", {})
    if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
        yield "requests or limits are missing"
    if runs_on and "livenessProbe" not in container:
        yield "no liveness probe"
    if runs_on and not is_sidecar and "readinessProbe" not in container:
        yield "no readiness probe"
    ports = {port.get("name") for port in container.get("ports", [])}
    for probe in ("livenessProbe", "readinessProbe"):
        asked = container.get(probe, {}).get("httpGet")
        if asked and asked["port"] not in ports:
            yield f"the {probe} asks a port that is none of the container's"
    if is_sidecar and ("startupProbe" in container or "readinessProbe" in container):
        yield "the sidecar's probe holds up PostgreSQL"
    for variable in container.get("env", []):
        if re.search(r"(PASSWORD|TOKEN|SECRET|SEED|URL)$", variable["name"]):
            yield f"a secret in the variable {variable['name']}"
    mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
    yield from (f"no volume {name}" for name in mounted - _volume_names(pod))


def _volume_names(pod: dict) -> set[str]:
    # A claim's volume is the StatefulSet's, under this name.
    return {volume["name"] for volume in pod.get("volumes", [])} | {"data"}


def _reference_violations(objects: list[dict], template: dict) -> Iterator[str]:
    labels, pod = template["metadata"]["labels"], template["spec"]
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    if ("ServiceAccount", pod.get("serviceAccountName")) not in names:
        yield "no such ServiceAccount"
    for volume in pod["volumes"]:
        if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in names:
            yield f"no ConfigMap {volume['configMap']['name']}"
    selectors = {"topology": [each["labelSelector"]["matchLabels"] for each in pod.get("topologySpreadConstraints", [])]}
    for each in objects:
        match each["kind"]:
            case "NetworkPolicy":
                selectors.setdefault("NetworkPolicy", []).append(each["spec"]["podSelector"]["matchLabels"])
            case "PodDisruptionBudget" | "Deployment" | "StatefulSet":
                selectors.setdefault(each["kind"], []).append(each["spec"]["selector"]["matchLabels"])
            case "Service":
                selectors.setdefault("Service", []).append(each["spec"]["selector"])
    for what, chosen in selectors.items():
        yield from (f"{what} does not choose the pods" for selector in chosen if not selector.items() <= labels.items())
    if "NetworkPolicy" not in selectors:
        yield "no NetworkPolicy"


def changed(objects: list[dict], kind: str, path: str, value) -> list[dict]:
    """A copy with one field of the object of this kind set (None: removed); the path's parts are keys, or places in lists."""
    copied = copy.deepcopy(objects)
    place = of_kind(copied, kind)
    *parents, last = (int(part) if part.isdigit() else part for part in path.split("/"))
    for part in parents:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copied
