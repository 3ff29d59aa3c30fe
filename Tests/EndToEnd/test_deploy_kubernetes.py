"""The Kustomize overlays, rendered by kubectl: valid for Kubernetes, restricted, and as the page says."""

import re
import shutil
import subprocess

import kubernetes_validate
import pytest

from manifests import KUBERNETES, OVERLAYS, changed, containers, kustomized, of_kind, overlay, pod_template, violations, workload
from servers.tools import CHECKOUT, slotstream_binary

_PAGE = CHECKOUT / "deploy" / "docs" / "kubernetes.md"

# From the first with native sidecars to the newest that the validator has.
VERSIONS = ["1.29", "1.33", "1.37"]


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_is_valid_for_each_version_of_kubernetes(name):
    objects = overlay(name)
    assert {"ServiceAccount", "ConfigMap", "NetworkPolicy"} <= {each["kind"] for each in objects}
    for version in VERSIONS:
        for each in objects:
            kubernetes_validate.validate(each, version, strict=True)


def test_the_validator_finds_a_field_that_is_not_there():
    objects = changed(overlay("deployment"), "Deployment", "spec/template/spec/containers/0/livenesProbe", {})
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(of_kind(objects, "Deployment"), VERSIONS[-1], strict=True)


@pytest.mark.parametrize("name", OVERLAYS)
def test_an_overlay_keeps_to_the_restricted_standard_and_our_rules(name):
    assert violations(overlay(name)) == []


_POD = "spec/template/spec"
_CONTAINER = f"{_POD}/containers/0"
# Each rule, and a change that breaks it.
_BREAKS = [
    ("Deployment", f"{_POD}/securityContext/runAsNonRoot", None, "may run as root"),
    ("Deployment", f"{_POD}/securityContext/runAsUser", None, "no numeric user"),
    ("Deployment", f"{_POD}/securityContext/seccompProfile", None, "no seccomp profile"),
    ("Deployment", f"{_POD}/securityContext/sysctls", [{"name": "a", "value": "b"}], "sysctls"),
    ("Deployment", f"{_POD}/hostNetwork", True, "hostNetwork"),
    ("Deployment", f"{_POD}/automountServiceAccountToken", None, "a token is mounted"),
    ("Deployment", f"{_POD}/enableServiceLinks", None, "variables of every Service"),
    ("Deployment", f"{_POD}/volumes/0", {"name": "config", "hostPath": {"path": "/etc"}}, "a volume hostPath"),
    ("Deployment", f"{_POD}/volumes/1/secret/defaultMode", None, "is open to others"),
    ("Deployment", f"{_POD}/volumes/0/configMap/name", "slotstream", "no ConfigMap slotstream"),
    ("Deployment", f"{_POD}/serviceAccountName", "default", "no such ServiceAccount"),
    ("Deployment", f"{_POD}/topologySpreadConstraints/0/labelSelector/matchLabels/app", "x", "topology does not choose"),
    ("Deployment", f"{_CONTAINER}/securityContext/allowPrivilegeEscalation", None, "privilege escalation"),
    ("Deployment", f"{_CONTAINER}/securityContext/readOnlyRootFilesystem", None, "root can be written"),
    ("Deployment", f"{_CONTAINER}/securityContext/capabilities", {"drop": ["ALL"], "add": ["SYS_ADMIN"]}, "capabilities"),
    ("Deployment", f"{_CONTAINER}/securityContext/privileged", True, "privileged"),
    ("Deployment", f"{_CONTAINER}/securityContext/runAsUser", 0, "runs as root"),
    ("Deployment", f"{_CONTAINER}/ports/0/hostPort", 7432, "a port of the host"),
    ("Deployment", f"{_CONTAINER}/image", "registry.example.com:5000/slotstream:latest", "has no version"),
    ("Deployment", f"{_CONTAINER}/image", "registry.example.com:5000/slotstream", "has no version"),
    ("Deployment", f"{_CONTAINER}/resources/requests/memory", None, "requests or limits are missing"),
    ("Deployment", f"{_CONTAINER}/resources/limits", None, "requests or limits are missing"),
    ("Deployment", f"{_CONTAINER}/livenessProbe", None, "no liveness probe"),
    ("Deployment", f"{_CONTAINER}/readinessProbe", None, "no readiness probe"),
    ("Deployment", f"{_CONTAINER}/env", [{"name": "DATABASE_URL", "value": "postgres://"}], "a secret in the variable"),
    ("Deployment", f"{_CONTAINER}/volumeMounts/0/name", "tmp", "no volume tmp"),
    ("PodDisruptionBudget", "spec/selector/matchLabels/app", "x", "PodDisruptionBudget does not choose"),
    ("NetworkPolicy", "spec/podSelector/matchLabels/app", "x", "NetworkPolicy does not choose"),
    ("NetworkPolicy", "kind", "NoPolicy", "no NetworkPolicy"),
    ("ServiceAccount", "automountServiceAccountToken", None, "gives a token"),
    ("ConfigMap", "kind", "Secret", "not ours to render"),
]


@pytest.fixture(scope="module")
def deployment():
    return overlay("deployment")


@pytest.mark.parametrize("kind, path, value, what", _BREAKS, ids=[f"{each[1].rsplit('/', 1)[-1]}-{index}" for index, each in enumerate(_BREAKS)])
def test_each_rule_finds_what_breaks_it(deployment, kind, path, value, what):
    found = violations(changed(deployment, kind, path, value))
    assert any(what in each for each in found), found


def test_a_probe_of_a_port_that_is_not_there_is_found():
    objects = overlay("observer")
    broken = changed(objects, "Deployment", f"{_CONTAINER}/readinessProbe/httpGet/port", "slotstream")
    assert violations(broken) == ["slotstream-observer: the readinessProbe asks a port that is none of the container's"]


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe"])
def test_a_sidecar_must_not_hold_up_postgres(probe):
    objects = overlay("sidecar")
    broken = changed(objects, "StatefulSet", f"{_POD}/initContainers/0/{probe}", {"exec": {"command": ["true"]}})
    assert violations(broken) == ["slotstream: the sidecar's probe holds up PostgreSQL"]


@pytest.mark.parametrize("name", ["deployment", "observer"])
def test_two_replicas_are_rolled_without_a_third(name):
    made = of_kind(overlay(name), "Deployment")["spec"]
    assert made["replicas"] == 2
    assert made["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}


def test_the_observer_s_pods_reach_what_they_need_and_the_streamer_s_no_more_than_before():
    """Each policy chooses its own pods alone: a pod may do what any policy that chooses it allows."""
    rendered = {name: overlay(name) for name in ("deployment", "observer")}
    ports = {}
    for name, objects in rendered.items():
        policy = of_kind(objects, "NetworkPolicy")["spec"]
        ports[name] = [each["port"] for rule in policy["egress"] for each in rule["ports"]]
        for other, theirs in rendered.items():
            chosen = policy["podSelector"]["matchLabels"].items() <= pod_template(workload(theirs))["metadata"]["labels"].items()
            assert chosen == (name == other)
    assert ports == {"deployment": [53, 53, 5432, 4222], "observer": [53, 53, 4222, 443]}
    [ingress] = of_kind(rendered["observer"], "NetworkPolicy")["spec"]["ingress"]
    [container] = pod_template(workload(rendered["observer"]))["spec"]["containers"]
    assert [each["port"] for each in ingress["ports"]] == [each["containerPort"] for each in container["ports"]]


def test_another_configuration_has_another_name(folder):
    """So that the pods are rolled, and a rollback finds the configuration that it had."""
    user = _documented(folder)
    before = workload(kustomized(user))
    config = user / "slotstream.toml"
    config.write_text(config.read_text().replace('stream_name = "shop"', 'stream_name = "shop2"'))
    after = workload(kustomized(user))
    names = [pod_template(each)["spec"]["volumes"][0]["configMap"]["name"] for each in (before, after)]
    assert names[0] != names[1]
    assert all(re.fullmatch(r"slotstream-[a-z0-9]{10}", name) for name in names)


def test_the_page_s_own_kustomization_does_what_the_page_says(folder):
    objects = kustomized(_documented(folder))
    assert violations(objects) == []
    assert {each["metadata"]["namespace"] for each in objects} == {"shop"}
    made = of_kind(objects, "Deployment")
    assert next(containers(pod_template(made)["spec"]))[0]["image"] == "registry.shop.example/slotstream:0.1.0"
    assert "orders" in of_kind(objects, "ConfigMap")["data"]["slotstream.toml"]
    assert pod_template(made)["spec"]["volumes"][1]["secret"]["secretName"] == "shop-db-app"
    # Several streamers in a namespace are told apart by every selector.
    for selector in (made["spec"]["selector"]["matchLabels"], of_kind(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
                     of_kind(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]):
        assert selector["app.kubernetes.io/instance"] == "shop"


def test_the_page_s_kustomization_of_the_observer_does_what_the_page_says(folder):
    objects = kustomized(_documented(folder, "hooks"))
    assert violations([each for each in objects if each["kind"] != "PodMonitor"]) == []
    for each in objects:
        if each["kind"] != "PodMonitor":
            kubernetes_validate.validate(each, VERSIONS[-1], strict=True)
    assert {each["metadata"]["namespace"] for each in objects} == {"shop"}
    assert 'entity = "Orders"' in of_kind(objects, "ConfigMap")["data"]["slotstream.toml"]
    assert [each["port"] for each in of_kind(objects, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == [4222, 443, 587]
    template = pod_template(workload(objects))
    assert next(containers(template["spec"]))[0]["image"] == "registry.shop.example/slotstream:0.1.0"
    assert of_kind(objects, "PodMonitor")["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_the_page_s_certificate_is_mounted_alone(folder):
    user = _documented(folder)
    [patch] = re.findall(r"```yaml\n(  - target:\n      kind: Deployment\n    path: .*?)```", _PAGE.read_text(), re.DOTALL)
    with (user / "kustomization.yaml").open("a") as file:
        file.write(patch)
    objects = kustomized(user)
    assert violations(objects) == []
    kubernetes_validate.validate(workload(objects), VERSIONS[-1], strict=True)
    spec = pod_template(workload(objects))["spec"]
    [secret] = [volume["secret"] for volume in spec["volumes"] if volume["name"] == "postgres-ca"]
    assert [item["key"] for item in secret["items"]] == ["ca.crt"], "the authority's private key stays where it is"
    assert spec["containers"][0]["volumeMounts"][-1]["mountPath"] == "/etc/postgres-ca"


def test_argo_cd_s_check_has_the_streamer_s_configuration_as_the_page_says(folder):
    objects = kustomized(_documented(folder, "argo"))
    configs = [each for each in objects if each["kind"] == "ConfigMap"]
    assert len(configs) == 2 and configs[0]["data"] == configs[1]["data"]
    assert "public.orders" in configs[0]["data"]["slotstream.toml"]
    streamer = [each for each in objects if "annotations" not in each["metadata"]]
    check = [each for each in objects if "annotations" in each["metadata"]]
    assert [each["kind"] for each in streamer] == [each["kind"] for each in overlay("deployment")]
    assert [each["kind"] for each in check] == [each["kind"] for each in overlay("job-check")]
    assert violations(streamer) == violations(check) == []


def _documented(folder, name="shop"):
    """The user's folder `name` that deploy/docs/kubernetes.md describes, beside a checkout."""
    shutil.copytree(KUBERNETES, folder / "slotstream" / "deploy" / "kubernetes")
    for indent, path, text in re.findall(r"^( *)```yaml\n *# ([a-z/]+\.yaml)\n(.*?)```", _PAGE.read_text(), re.DOTALL | re.MULTILINE):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(re.sub(f"^{indent}", "", text, flags=re.MULTILINE))
    base = (KUBERNETES / "base" / "slotstream.toml").read_text().replace("public.invoices", "public.orders")
    for place in (folder / "shop", folder / "argo" / "config"):
        (place / "slotstream.toml").write_text(base)
    observer = (KUBERNETES / "overlays" / "observer" / "slotstream.toml").read_text()
    (folder / "hooks" / "slotstream.toml").write_text(observer.replace('entity = "Customers"', 'entity = "Orders"'))
    return folder / name


def test_argo_cd_runs_the_check_before_anything_else():
    for each in overlay("job-check"):
        assert each["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync", each["kind"]
        assert each["metadata"]["name"].startswith("slotstream-check"), "the objects of the application keep theirs"


@pytest.mark.parametrize("name", [name for name in OVERLAYS if name.startswith("job-")])
def test_a_job_tries_again_only_where_that_helps(name):
    rules = of_kind(overlay(name), "Job")["spec"]["podFailurePolicy"]["rules"]
    page = (CHECKOUT / "deploy" / "docs" / "stops.md").read_text()
    codes = {int(code): helps for code, helps in re.findall(r"^\| (\d+) \|.*\| (yes|no) \|$", page, re.MULTILINE)}
    assert len(codes) == 10
    assert set(rules[1]["onExitCodes"]["values"]) == {code for code, helps in codes.items() if helps == "no"}
    assert rules[1]["action"] == "FailJob" and rules[1]["onExitCodes"]["containerName"] == "slotstream"


def test_the_image_has_the_program_s_version():
    version = subprocess.run([slotstream_binary(), "--version"], capture_output=True, text=True, check=True).stdout.split()[0]
    for name in OVERLAYS:
        images = {each["image"] for each, _ in containers(pod_template(workload(overlay(name)))["spec"]) if each["name"].startswith("slotstream")}
        assert images == {f"registry.example.com/slotstream:{version}"}
