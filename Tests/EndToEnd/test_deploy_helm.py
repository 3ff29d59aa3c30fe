"""The Helm chart, by Helm's own library: it is linted, and gives the same objects as the overlays of Kustomize."""

import copy
import re
import shutil
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

import helm
from manifests import CHART, JOBS, OVERLAYS, containers, of_kind, overlay, pod_template, violations, workload
from released import one, release
from servers.tools import CHECKOUT, helm_library

# What Helm finds worth a word, from here on (its list has 1 for hints, 2 for warnings, 3 for errors).
_WARNING = 2


@pytest.fixture(scope="module")
def library() -> Path:
    return helm_library()


def test_lint_finds_nothing(library):
    said = helm.lint(library, CHART)
    assert said["TotalChartsLinted"] == 1
    assert [message for message in said["Messages"] if message["Severity"] >= _WARNING] == [] and not said["Errors"]


def test_lint_finds_a_template_that_is_broken(library, folder):
    broken = shutil.copytree(CHART, folder / "slotstream")
    (broken / "templates" / "broken.yaml").write_text("{{ include \"nothing\" . }}\n")
    said = helm.lint(library, broken)
    assert [message for message in said["Messages"] if message["Severity"] >= _WARNING]


# What the two name differently, and nothing else: labels that Helm's users expect, who the hooks are for, how a changed configuration
# rolls the pods, and a default that Kubernetes has as well.
_LABELS = {"app.kubernetes.io/instance", "app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart"}
_ANNOTATIONS = ("meta.helm.sh/", "helm.sh/hook", "argocd.argoproj.io/hook", "checksum/config")
# What Kustomize adds to the name of a ConfigMap.
_NAME_HASH = re.compile(r"-[2-9bcdfghkmt]{10}$")


def _comparable(objects: list[dict]) -> dict[tuple[str, str], dict]:
    """By kind and name, without what is named above."""
    made = {}
    names = [each["metadata"]["name"] for each in objects if each["kind"] == "ConfigMap"]
    hashed = {name: _NAME_HASH.sub("", name) for name in names}
    for each in objects:
        plain = _plain(copy.deepcopy(each), hashed)
        plain["metadata"].pop("namespace", None)
        made[plain["kind"], plain["metadata"]["name"]] = plain
    assert len(made) == len(objects)
    return made


def _plain(value, hashed: dict[str, str]):
    if isinstance(value, list):
        return [_plain(each, hashed) for each in value]
    if not isinstance(value, dict):
        return hashed.get(value, value) if isinstance(value, str) else value
    made = {}
    for key, each in value.items():
        if key in _LABELS or key.startswith(_ANNOTATIONS) or (key, each) == ("imagePullPolicy", "IfNotPresent"):
            continue
        plain = _plain(each, hashed)
        # A map of nothing but these.
        if plain != {} or each == {}:
            made[key] = plain
    return made


def _require_equal(chart: list[dict], kustomize: list[dict]) -> None:
    theirs, ours = _comparable(chart), _comparable(kustomize)
    assert set(theirs) == set(ours)
    for name, each in ours.items():
        assert theirs[name] == each, name


def test_the_chart_gives_the_objects_of_the_overlay(library):
    made = helm.install(library, "slotstream", CHART)
    _require_equal(made, overlay("deployment"))
    assert violations(made) == []


def test_the_comparison_finds_a_field_that_differs(library):
    made = helm.install(library, "slotstream", CHART, {"resources": {"limits": {"memory": "300Mi"}}})
    with pytest.raises(AssertionError):
        _require_equal(made, overlay("deployment"))


@pytest.mark.parametrize("command", JOBS)
def test_a_job_of_the_chart_is_the_overlay_s(library, command):
    made = helm.install(library, "slotstream", CHART, {"jobs": {command: {"enabled": True}}})
    job = [each for each in made if each["metadata"]["name"] == f"slotstream-{command}"]
    _require_equal(job, overlay(f"job-{command}"))
    hooks = {each["kind"]: each["metadata"]["annotations"]["helm.sh/hook"].split(",")[0] for each in job}
    assert set(hooks.values()) == {"pre-install" if command in ("check", "setup") else "post-install"}
    # Helm posted what the Job needs before the Job.
    assert job[-1]["kind"] == "Job"
    assert violations(job) == []
    for each in made:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)


def test_the_observer_of_the_chart_is_the_overlay_s(library):
    made = helm.install(library, "slotstream", CHART, {"observer": {"enabled": True}})
    observer = [each for each in made if each["metadata"]["name"] == "slotstream-observer"]
    _require_equal(observer, overlay("observer"))
    assert violations(observer) == []
    _require_equal([each for each in made if each not in observer], overlay("deployment"))


def test_values_reach_the_observer_s_pods(library):
    observer = {"enabled": True, "replicas": 3, "config": "[log]\nformat = \"text\"\n", "env": [{"name": "SLOTSTREAM_LOG_LEVEL", "value": "debug"}],
                "secrets": {"nats": "", "environment": "hooks"}, "egressPorts": [4222, 8443],
                "extraVolumes": [{"name": "ca", "secret": {"secretName": "ca", "defaultMode": 0o440}}],
                "extraVolumeMounts": [{"name": "ca", "mountPath": "/run/secrets/ca", "readOnly": True}]}
    values = {"observer": observer, "image": {"repository": "registry.shop.example/slotstream", "tag": "0.1.1"}, "nodeSelector": {"disk": "ssd"}}
    made = [each for each in helm.install(library, "orders", CHART, values) if each["metadata"]["name"] == "orders-slotstream-observer"]
    assert violations(made) == []
    for each in made:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    deployment = of_kind(made, "Deployment")
    template = pod_template(deployment)
    [container] = [each for each, _ in containers(template["spec"])]
    assert deployment["spec"]["replicas"] == 3 and container["image"] == "registry.shop.example/slotstream:0.1.1"
    assert container["env"] == observer["env"] and container["envFrom"] == [{"secretRef": {"name": "hooks"}}]
    assert {volume["name"] for volume in template["spec"]["volumes"]} == {"config", "ca"} and template["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert of_kind(made, "ConfigMap")["data"]["slotstream.toml"].strip() == observer["config"].strip()
    assert [each["port"] for each in of_kind(made, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == [4222, 8443]


def test_a_chart_with_postgres_takes_the_sidecar_from_this_one(library, folder):
    """What values.yaml says of the mode `sidecar`, with the overlay's own StatefulSet around it."""
    kustomized = overlay("sidecar")
    parent = folder / "database"
    (parent / "templates").mkdir(parents=True)
    shutil.copytree(CHART, parent / "charts" / "slotstream")
    (parent / "Chart.yaml").write_text("apiVersion: v2\nname: database\nversion: 0.1.0\n")
    set_ = of_kind(kustomized, "StatefulSet")
    pod = pod_template(set_)["spec"]
    own = copy.deepcopy(set_)
    template = pod_template(own)
    [name] = [volume["configMap"]["name"] for volume in pod["volumes"] if volume["name"] == "init"]
    template["metadata"]["labels"] = template["spec"]["initContainers"] = "HERE"
    own["spec"]["selector"]["matchLabels"] = "HERE"
    shared = [volume for volume in pod["volumes"] if volume["name"] in ("config", "postgres", "nats")]
    template["spec"]["volumes"] = [volume for volume in pod["volumes"] if volume not in shared]
    text = yaml.safe_dump(own)
    for key, helper, indent in (("matchLabels", "sidecarLabels", 6), ("labels", "sidecarLabels", 8), ("initContainers", "sidecar", 8)):
        text = text.replace(f"{key}: HERE", f"{key}:\n{{{{- include \"slotstream.{helper}\" .Subcharts.slotstream | nindent {indent} }}}}")
    text = text.replace("      volumes:\n", "      volumes:\n{{- include \"slotstream.volumes\" .Subcharts.slotstream | nindent 6 }}\n")
    (parent / "templates" / "database.yaml").write_text(text)
    # What of the overlay is not Slotstream's: the parent's own affair.
    rest = [each for each in kustomized if each["kind"] == "Service" or each["metadata"]["name"] == name]
    (parent / "templates" / "rest.yaml").write_text(yaml.safe_dump_all(rest))
    [ingress] = [each for each in of_kind(kustomized, "NetworkPolicy")["spec"]["ingress"] if "from" not in each]
    made = helm.install(library, "slotstream", parent, {"slotstream": {"mode": "sidecar", "networkPolicy": {"extraIngress": [ingress]}}})
    assert violations(made) == []
    _require_equal(_volumes_sorted(made), _volumes_sorted(kustomized))


def _volumes_sorted(objects: list[dict]) -> list[dict]:
    """The order of a pod's volumes means nothing."""
    objects = copy.deepcopy(objects)
    pod_template(workload(objects))["spec"]["volumes"].sort(key=lambda volume: volume["name"])
    return objects


def test_values_reach_the_pods(library):
    values = {"image": {"repository": "registry.shop.example/slotstream", "tag": "0.1.1"}, "replicas": 1,
              "secrets": {"postgres": "shop-db-app", "nats": ""}, "env": [{"name": "SLOTSTREAM_SOURCE_SLOT", "value": "orders"}],
              "extraVolumes": [{"name": "ca", "secret": {"secretName": "ca", "defaultMode": 0o440}}],
              "extraVolumeMounts": [{"name": "ca", "mountPath": "/run/secrets/ca", "readOnly": True}],
              "tolerations": [{"key": "a", "operator": "Exists"}], "nodeSelector": {"disk": "ssd"}, "podLabels": {"team": "shop"},
              "networkPolicy": {"egressPorts": [6432, 4222]}, "priorityClassName": "high"}
    made = helm.install(library, "orders", CHART, values)
    assert violations(made) == []
    for each in made:
        kubernetes_validate.validate(each, kubernetes_validate.latest_version(), strict=True)
    deployment = of_kind(made, "Deployment")
    template = pod_template(deployment)
    assert deployment["metadata"]["name"] == "orders-slotstream" and deployment["spec"]["replicas"] == 1
    [container] = [each for each, _ in containers(template["spec"])]
    assert container["image"] == "registry.shop.example/slotstream:0.1.1"
    assert container["env"] == values["env"]
    assert {volume["name"] for volume in template["spec"]["volumes"]} == {"config", "postgres", "ca"}
    assert template["spec"]["tolerations"] == values["tolerations"] and template["spec"]["nodeSelector"] == {"disk": "ssd"}
    assert template["metadata"]["labels"]["team"] == "shop" and template["spec"]["priorityClassName"] == "high"
    assert [each["port"] for each in of_kind(made, "NetworkPolicy")["spec"]["egress"][1]["ports"]] == [6432, 4222]


def test_a_release_has_the_chart_the_overlays_and_the_rules(library, folder):
    made = release(folder, "manifests")
    values = {"prometheusRule": {"enabled": True}}
    packed = helm.install(library, "slotstream", one(made, "slotstream-chart-*.tgz"), values)
    assert packed == helm.install(library, "slotstream", CHART, values)
    for name in OVERLAYS:
        assert list(yaml.safe_load_all(one(made, f"*-kubernetes-{name}.yaml").read_text())) == overlay(name)
    [rule] = [yaml.safe_load(one(made, "*-prometheus-rule.yaml").read_text())]
    assert rule["spec"] == of_kind(packed, "PrometheusRule")["spec"]


def test_the_page_s_own_values_are_taken(library):
    page = (CHECKOUT / "deploy" / "docs" / "kubernetes.md").read_text()
    [values] = re.findall(r"```yaml\n# shop-values.yaml\n(.*?)```", page, re.DOTALL)
    made = helm.install(library, "shop", CHART, yaml.safe_load(values))
    assert {"PodMonitor", "PrometheusRule"} < {each["kind"] for each in made}
    [container] = [each for each, _ in containers(pod_template(of_kind(made, "Deployment"))["spec"])]
    assert container["image"] == "registry.shop.example/slotstream:0.1.0"
    assert container["env"] == [{"name": "SLOTSTREAM_SOURCE_TABLES", "value": "public.customers,public.orders"}]


def test_another_configuration_rolls_the_pods(library):
    made = [pod_template(of_kind(helm.install(library, "slotstream", CHART, values), "Deployment"))["metadata"]["annotations"]
            for values in ({}, {}, {"config": "[source]\nslot = \"orders\"\n"})]
    assert made[0] == made[1] != made[2]


@pytest.mark.parametrize("values", [{"mod": "sidecar"}, {"mode": "daemonset"}, {"secrets": {"postgres": ""}}, {"replicas": "two"},
                                    {"jobs": {"chek": {"enabled": True}}}, {"observer": {"enabeld": True}}, {"observer": {"replicas": 0}}], ids=str)
def test_a_wrong_value_is_refused(library, values):
    with pytest.raises(helm.HelmError):
        helm.install(library, "slotstream", CHART, values)
