"""web_single_pattern in a container: it predicts, and a model that it cannot serve keeps it from starting, once."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mlsys import export
from mlsys.catalogue import ROOT
from mlsys.model import Model
from mlsys.testing import eventually

from .stack import Stack, docker

pytestmark = pytest.mark.containers

PATTERN = ROOT / "chapter4_serving_patterns" / "web_single_pattern"
RESTARTS = 3
"""As `restart:` in the Compose file has it."""


@pytest.fixture
def start() -> Iterator[Callable[..., Stack]]:
    """`start(*overrides, **environment)` starts the pattern's containers; the test's end removes them."""
    started: list[Stack] = []

    def start(*overrides: Path, **environment: str) -> Stack:
        started.append(Stack(PATTERN, *overrides, **environment))
        started[-1].build()
        started[-1].up()
        return started[-1]

    yield start
    for stack in started:
        stack.down()


def post(stack: Stack, path: str, flower: list[float]) -> object:
    body = json.dumps({"data": [flower]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{stack.port}{path}", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)["prediction"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_flowers_are_predicted_over_the_published_port(start: Callable[..., Stack], workers: str) -> None:
    stack = start(WORKERS=workers)
    stack.wait_until_healthy()
    probabilities = post(stack, "/predict", [5.1, 3.5, 1.4, 0.2])
    assert isinstance(probabilities, list)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert post(stack, "/predict/label", [5.1, 3.5, 1.4, 0.2]) == "setosa"
    assert post(stack, "/predict/label", [6.3, 3.3, 6.0, 2.5]) == "virginica"


def whole(models: Path) -> bytes:
    return (models / "iris_svc" / "model.onnx").read_bytes()


def of_five_features(models: Path) -> bytes:
    """A sound model file that takes five numbers a row."""
    random = np.random.default_rng(0)
    values = random.normal(size=(60, 5)).astype(np.float32)
    graph = export.convert(LogisticRegression().fit(values, np.arange(60) % 3), features=5)
    inputs, outputs = export.tensors(graph)
    known = Model.load(models / "iris_svc" / "model.onnx").metadata
    names = [*known.features, "scent"]
    metadata = msgspec.structs.replace(
        known, features=names, inputs=inputs, outputs=outputs, sample=values[:1].tolist(), profile=[]
    )
    return export.serialize(graph, metadata)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (lambda models: whole(models)[:1000], "truncated"),
        (of_five_features, "scent"),
    ],
    ids=["missing", "truncated", "of five features"],
)
def test_a_model_that_cannot_be_served_is_refused_in_one_sentence_and_not_for_ever(
    start: Callable[..., Stack],
    models: Path,
    tmp_path: Path,
    content: Callable[[Path], bytes] | None,
    reason: str,
    workers: str,
) -> None:
    folder = tmp_path / "models"
    folder.mkdir(mode=0o755)
    if content:
        (folder / "model.onnx").write_bytes(content(models))
        (folder / "model.onnx").chmod(0o644)
    override = tmp_path / "override.yml"
    api = {"environment": {"MODEL_PATH": "/given/model.onnx"}, "volumes": [f"{folder}:/given:ro"]}
    override.write_text(json.dumps({"services": {"api": api}}))  # JSON is YAML

    stack = start(override, WORKERS=workers)

    eventually(lambda: has_given_up(stack), deadline_s=60, every_s=0.2)
    (container,) = stack.containers()
    assert container["State"]["ExitCode"] == 3
    said = docker("logs", container["Id"]).splitlines()
    sentences = [line for line in said if line.startswith("Cannot start: Model /given/model.onnx cannot be used: ")]
    assert len(sentences) == 1 + RESTARTS
    assert all(reason in sentence for sentence in sentences)
    assert "Traceback" not in "\n".join(said)


def has_given_up(stack: Stack) -> bool:
    (container,) = stack.containers()
    return (container["State"]["Status"], container["RestartCount"]) == ("exited", RESTARTS)
