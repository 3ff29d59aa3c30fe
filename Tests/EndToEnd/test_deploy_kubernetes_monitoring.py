"""PodMonitor and PrometheusRule, of Kustomize and of the chart: as the Prometheus operator's published schema has them, and the rules of
`deploy/monitoring/alerts.yml` to the letter.

The schema is that of the operator 0.80, in the form of the classes that `cloudcoil-models-prometheus-operator` makes of it.
"""

import subprocess

import pytest
import yaml
from cloudcoil.models.prometheus_operator.v1 import PodMonitor, PrometheusRule
from pydantic import ValidationError

import helm
from manifests import CHART, KUBERNETES, containers, kustomized, of_kind, overlay, pod_template, workload
from servers.tools import CHECKOUT, helm_library

_SCHEMAS = {"PodMonitor": PodMonitor, "PrometheusRule": PrometheusRule}
_RULES = CHECKOUT / "deploy" / "monitoring" / "alerts.yml"


def _require_valid(made: dict) -> None:
    """The classes refuse wrong values, and leave out what they do not know: nothing may be left out."""
    known = _SCHEMAS[made["kind"]].model_validate(made).model_dump(by_alias=True, exclude_unset=True, mode="json")
    assert known == made


def _from_chart() -> list[dict]:
    values = {"podMonitor": {"enabled": True}, "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}}}
    made = helm.install(helm_library(), "slotstream", CHART, values)
    return [each | {"metadata": {key: value for key, value in each["metadata"].items() if key != "annotations"}}
            for each in made if each["kind"] in _SCHEMAS]


def _from_kustomize(folder) -> list[dict]:
    """The overlay's PodMonitor with the component, and what `prometheus-rule` prints."""
    printed = subprocess.run([KUBERNETES / "prometheus-rule"], capture_output=True, text=True, check=True)
    return [of_kind(_rendered(folder, "deployment", "monitoring"), "PodMonitor"), yaml.safe_load(printed.stdout)]


def _rendered(folder, name: str, component: str) -> list[dict]:
    """An overlay with a component."""
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({
        "resources": [f"deploy/kubernetes/overlays/{name}"], "components": [f"deploy/kubernetes/components/{component}"]}))
    # kubectl follows no link out of the folder.
    subprocess.run(["cp", "--recursive", "--parents", "deploy/kubernetes", folder], cwd=CHECKOUT, check=True)
    return kustomized(folder)


@pytest.mark.parametrize("source", ["kustomize", "chart"])
def test_both_objects_are_as_the_operator_s_schema_has_them(source, folder):
    made = _from_chart() if source == "chart" else _from_kustomize(folder)
    assert {each["kind"] for each in made} == set(_SCHEMAS)
    for each in made:
        _require_valid(each)
    rule = of_kind(made, "PrometheusRule")
    assert rule["spec"] == yaml.safe_load(_RULES.read_text())
    monitor = of_kind(made, "PodMonitor")["spec"]
    for name in ("deployment", "sidecar"):
        template = pod_template(workload(overlay(name)))
        [selected] = [monitor["selector"]["matchLabels"]]
        # The chart's pods have the instance as well.
        assert {key: value for key, value in selected.items() if key != "app.kubernetes.io/instance"}.items() <= template["metadata"]["labels"].items()
        ports = {port["name"] for container, _ in containers(template["spec"]) for port in container.get("ports", [])}
        assert {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]} <= ports


@pytest.mark.parametrize("source", ["kustomize", "chart"])
def test_the_observer_has_a_monitor_of_its_own_which_chooses_no_streamer(source, folder):
    """Its series have another `job` than the streamer's of the same name."""
    if source == "chart":
        made = helm.install(helm_library(), "slotstream", CHART, {"podMonitor": {"enabled": True}, "observer": {"enabled": True}})
        made = [each for each in made if each["metadata"]["name"] == "slotstream-observer"]
    else:
        made = _rendered(folder, "observer", "monitoring-observer")
    monitor = of_kind(made, "PodMonitor")
    _require_valid(monitor | {"metadata": {key: value for key, value in monitor["metadata"].items() if key != "annotations"}})
    chosen = monitor["spec"]["selector"]["matchLabels"].items()
    template = pod_template(workload(made))
    assert chosen <= template["metadata"]["labels"].items()
    assert not chosen <= pod_template(workload(overlay("deployment")))["metadata"]["labels"].items()
    [container] = template["spec"]["containers"]
    assert [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]] == [port["name"] for port in container["ports"]]


@pytest.mark.parametrize("change", [{"port": 7432}, {"prot": "slotstream"}, {"interval": "half a minute"}], ids=str)
def test_the_schema_finds_what_is_wrong(folder, change):
    monitor = of_kind(_from_kustomize(folder), "PodMonitor")
    monitor["spec"]["podMetricsEndpoints"][0] |= change
    with pytest.raises((AssertionError, ValidationError)):
        _require_valid(monitor)
