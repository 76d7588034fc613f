"""Kubernetes manifests: what holds for every pattern's."""

import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from . import files
from .files import Yaml

OLDEST, NEWEST = "1.30", "1.37"
"""Kubernetes versions that the manifests are valid for."""
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
CLUSTER_WIDE = {"Namespace"}
every_pattern = pytest.mark.parametrize("pattern", files.PATTERNS, ids=lambda pattern: pattern.name)


@pytest.fixture(autouse=True)
def _where_models_are(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(models.parent)


@every_pattern
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_is_valid_for_old_and_new_kubernetes(pattern: Path, version: str) -> None:
    assert files.documents(pattern)
    for _, document in files.documents(pattern):
        kubernetes_validate.validate(document, version, strict=True)


@every_pattern
def test_the_directory_can_be_applied_as_it_is(pattern: Path) -> None:
    here = [file.name for file in (pattern / "manifests").iterdir() if file.is_file()]
    assert all(re.fullmatch(r"\d\d-[a-z0-9-]+\.yaml", name) for name in here), (
        here
    )  # applied in this order; no kustomization
    assert files.documents(pattern)[0][1]["kind"] == "Namespace"


@every_pattern
def test_everything_lives_in_the_patterns_own_namespace(pattern: Path) -> None:
    (namespace,) = files.of_kind(pattern, "Namespace")
    assert namespace["metadata"]["name"] == pattern.name.replace("_", "-")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, document in files.documents(pattern):
        if document["kind"] not in CLUSTER_WIDE:
            assert document["metadata"].get("namespace") == namespace["metadata"]["name"], f"{name}, {document['kind']}"


@every_pattern
def test_no_document_is_there_twice(pattern: Path) -> None:
    names = [(document["kind"], document["metadata"]["name"]) for _, document in files.documents(pattern)]
    assert len(names) == len(set(names))


@every_pattern
def test_images_are_those_of_compose(pattern: Path) -> None:
    known = {service["image"] for service in files.compose(pattern)["services"].values()}
    assert files.own_containers(pattern)
    assert {container["image"] for container in files.containers(pattern)} <= known
    for container in files.own_containers(pattern):
        assert container["imagePullPolicy"] == "IfNotPresent", "an image loaded into the cluster would be pulled"


@every_pattern
def test_containers_run_the_command_that_compose_runs(pattern: Path) -> None:
    local = [(service["image"], service.get("command")) for service in files.built(pattern).values()]
    for container in files.own_containers(pattern):
        assert "command" not in container, "args replaces CMD; an image has no ENTRYPOINT"
        assert (container["image"], container.get("args")) in local


@every_pattern
def test_containers_set_only_what_their_process_reads(pattern: Path) -> None:
    for container in files.own_containers(pattern):
        assert not files.unknown_variables(pattern, container)


@every_pattern
def test_no_secret_is_written_down(pattern: Path) -> None:
    assert not files.of_kind(pattern, "Secret")
    for container in files.containers(pattern):
        for name, value in files.environment(container).items():
            assert not re.search(r"PASSWORD|SECRET|TOKEN|KEY", name) or not value, f"{name} belongs into a Secret"
            assert not re.search(r"://[^/\s]*:[^$/\s][^/\s]*@", value), f"{name} has a password in it"


@every_pattern
def test_a_server_says_the_port_that_it_listens_on(pattern: Path) -> None:
    for container in files.own_containers(pattern):
        if files.routes(pattern, container):
            ports = {port["containerPort"] for port in container["ports"]}
            assert int(files.setting(pattern, container, "PORT")) in ports
            assert files.setting(pattern, container, "HOST") == "0.0.0.0"  # noqa: S104  # a pod's own network


@every_pattern
def test_a_server_has_all_probes_on_paths_and_ports_that_it_answers(pattern: Path) -> None:
    for container in files.own_containers(pattern):
        routes = files.routes(pattern, container)
        if not routes:
            continue
        for probe in PROBES:
            request = container[probe]["httpGet"]
            assert request["path"] in routes, probe
            assert port_number(container, request["port"]) == int(files.setting(pattern, container, "PORT")), probe
        assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health", "a restart does not mend a dependency"


@every_pattern
def test_prometheus_is_sent_to_a_path_and_port_that_exist(pattern: Path) -> None:
    for _, template in files.workloads(pattern):
        notes = template["metadata"].get("annotations", {})
        servers = [container for container in template["spec"]["containers"] if is_server(pattern, container)]
        assert ("prometheus.io/scrape" in notes) == bool(servers)
        for server in servers:
            assert notes["prometheus.io/scrape"] == "true"
            assert notes["prometheus.io/path"] in files.routes(pattern, server)
            assert notes["prometheus.io/port"] == files.setting(pattern, server, "PORT")


@every_pattern
def test_one_pod_runs_one_worker_and_logs_for_machines(pattern: Path) -> None:
    for container in files.own_containers(pattern):
        assert files.setting(pattern, container, "WORKERS") == "1"
        assert files.setting(pattern, container, "LOG_FORMAT") == "json"


@every_pattern
def test_a_server_is_taken_out_of_service_before_it_is_stopped_and_may_finish(pattern: Path) -> None:
    for _, template in files.workloads(pattern):
        for container in template["spec"]["containers"]:
            if is_server(pattern, container):
                pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
                drain = int(files.setting(pattern, container, "DRAIN_TIMEOUT_S"))
                assert template["spec"]["terminationGracePeriodSeconds"] > pause + drain


@every_pattern
def test_every_container_asks_for_resources_and_is_limited(pattern: Path) -> None:
    for container in files.containers(pattern):
        assert set(container["resources"]["limits"]) >= {"cpu", "memory"}, container["name"]
        assert set(container["resources"]["requests"]) >= {"cpu", "memory"}, container["name"]


@every_pattern
def test_no_pod_has_rights_that_it_does_not_need(pattern: Path) -> None:
    for document, template in files.workloads(pattern):
        pod = template["spec"]
        name = document["metadata"]["name"]
        assert pod["automountServiceAccountToken"] is False, name
        assert pod["enableServiceLinks"] is False, name
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
    for container in files.containers(pattern):
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False, container["name"]
        assert rights["readOnlyRootFilesystem"] is True, container["name"]
        assert rights["capabilities"] == {"drop": ["ALL"]}, container["name"]


@every_pattern
def test_a_pod_runs_as_the_user_of_its_image(pattern: Path) -> None:
    own = {service["image"] for service in files.built(pattern).values()}
    for _, template in files.workloads(pattern):
        for container in template["spec"]["containers"]:
            if container["image"] in own:
                user = template["spec"]["securityContext"]["runAsUser"]
                assert user == files.dockerfile(pattern, container["image"]).user


@every_pattern
def test_a_deployment_is_replaced_without_a_gap_and_spread_over_nodes(pattern: Path) -> None:
    for deployment in files.of_kind(pattern, "Deployment"):
        pod = deployment["spec"]["template"]["spec"]
        if any(is_server(pattern, container) for container in pod["containers"]):
            assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
            assert [spread["topologyKey"] for spread in pod["topologySpreadConstraints"]] == ["kubernetes.io/hostname"]


@every_pattern
def test_every_selector_matches_pods_of_the_pattern(pattern: Path) -> None:
    pods = [template["metadata"]["labels"] for _, template in files.workloads(pattern)]
    checked = [selector for _, document in files.documents(pattern) for selector in selectors(document)]
    assert checked
    for selector in checked:
        assert any(selector.items() <= labels.items() for labels in pods), selector


@every_pattern
def test_a_workload_selects_its_own_pods_alone(pattern: Path) -> None:
    for document, template in files.workloads(pattern):
        if "selector" in document["spec"]:
            selector = document["spec"]["selector"]["matchLabels"].items()
            chosen = [t for _, t in files.workloads(pattern) if selector <= t["metadata"]["labels"].items()]
            assert chosen == [template]


@every_pattern
def test_a_service_and_a_network_policy_name_ports_that_their_pods_have(pattern: Path) -> None:
    for document in files.of_kind(pattern, "Service"):
        for port in document["spec"]["ports"]:
            assert pods_have(pattern, document["spec"]["selector"], port.get("targetPort", port["port"]))
    for document in files.of_kind(pattern, "NetworkPolicy"):
        for rule in document["spec"].get("ingress", []):
            for port in rule["ports"]:
                assert pods_have(pattern, document["spec"]["podSelector"]["matchLabels"], port["port"])


@every_pattern
def test_a_workload_names_a_service_account_that_is_there(pattern: Path) -> None:
    accounts = {account["metadata"]["name"] for account in files.of_kind(pattern, "ServiceAccount")}
    for _, template in files.workloads(pattern):
        assert template["spec"]["serviceAccountName"] in accounts


@every_pattern
def test_an_autoscaler_has_a_workload_that_leaves_the_number_to_it(pattern: Path) -> None:
    for scaler in files.of_kind(pattern, "HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        (workload,) = [d for d in files.of_kind(pattern, target["kind"]) if d["metadata"]["name"] == target["name"]]
        assert "replicas" not in workload["spec"], "every `kubectl apply` would reset the number"


def is_server(pattern: Path, container: Yaml) -> bool:
    """Whether the container runs one of the pattern's own HTTP services."""
    return container in files.own_containers(pattern) and bool(files.routes(pattern, container))


def port_number(container: Yaml, port: int | str) -> int:
    """The number of a port that is given by number or name. Raises: KeyError if the container names no such port."""
    if isinstance(port, int):
        return port
    numbers: dict[str, int] = {known["name"]: known["containerPort"] for known in container["ports"]}
    return numbers[port]


def pods_have(pattern: Path, selector: dict[str, str], port: int | str) -> bool:
    """Whether a container of the selected pods has the port."""
    pods = [t["spec"] for _, t in files.workloads(pattern) if selector.items() <= t["metadata"]["labels"].items()]
    known = [port for pod in pods for container in pod["containers"] for port in container.get("ports", [])]
    return any(port in (one["containerPort"], one.get("name")) for one in known)


def selectors(part: Any) -> list[dict[str, str]]:  # noqa: ANN401  # any part of a YAML document
    """Every label selector anywhere in a document."""
    if isinstance(part, list):
        return [selector for item in part for selector in selectors(item)]
    if not isinstance(part, dict):
        return []
    found = [selector for value in part.values() for selector in selectors(value)]
    if "matchLabels" in part:
        found.append(part["matchLabels"])
    elif part.get("selector", {}).keys() - {"matchLabels", "matchExpressions"}:
        found.append(part["selector"])  # a Service's
    return found
