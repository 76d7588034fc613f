"""Good models and bad ones, an origin for them, and settings that lead there."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from onnx import TensorProto, helper

from mlsys import metadata as document

from ..settings import Settings
from .origin import Origin


@pytest.fixture(scope="session")
def svc(models: Path) -> bytes:
    return (models / "iris_svc" / "model.onnx").read_bytes()


@pytest.fixture(scope="session")
def forest(models: Path) -> bytes:
    return (models / "iris_rf" / "model.onnx").read_bytes()


@pytest.fixture(scope="session")
def perceptron(models: Path) -> bytes:
    return (models / "iris_perceptron" / "model.onnx").read_bytes()


@pytest.fixture(scope="session")
def slow(svc: bytes) -> bytes:
    """The model of iris_svc, and beside it a product of large matrices that changes nothing but the time."""
    graph = onnx.load_from_string(svc)
    size = helper.make_tensor("size", TensorProto.INT64, [2], [1000, 1000])
    zero = helper.make_tensor("nothing", TensorProto.FLOAT, [], [0.0])
    graph.graph.initializer.extend([size, zero])
    for node in graph.graph.node:
        node.output[:] = ["quick" if name == "probabilities" else name for name in node.output]
    graph.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["input"], ["one"], keepdims=0),
            helper.make_node("Expand", ["one", "size"], ["large"]),
            *(helper.make_node("MatMul", [f"large{n or ''}", "large"], [f"large{n + 1}"]) for n in range(6)),
            helper.make_node("ReduceMax", ["large6"], ["most"], keepdims=0),
            helper.make_node("Mul", ["most", "nothing"], ["none"]),
            helper.make_node("Add", ["quick", "none"], ["probabilities"]),
        ]
    )
    content: bytes = graph.SerializeToString()
    return content


@pytest.fixture(scope="session")
def contrary(svc: bytes) -> bytes:
    """The model of iris_svc with its classes in the opposite order, as after a mistake with the labels."""
    graph = onnx.load_from_string(svc)
    graph.graph.initializer.append(helper.make_tensor("two", TensorProto.INT64, [], [2]))
    for node in graph.graph.node:
        node.output[:] = ["right" if name == "label" else name for name in node.output]
        node.input[:] = ["right" if name == "label" else name for name in node.input]
    graph.graph.node.append(helper.make_node("Sub", ["two", "right"], ["label"]))
    content: bytes = graph.SerializeToString()
    return content


@pytest.fixture(scope="session")
def changed(svc: bytes) -> Callable[[Callable[[Any], None]], bytes]:
    """`changed(how)`: the model of iris_svc after `how` has done something to its metadata, given as plain data."""

    def changed(how: Callable[[Any], None]) -> bytes:
        graph = onnx.load_from_string(svc)
        (entry,) = graph.metadata_props
        data = msgspec.json.decode(entry.value)
        how(data)
        entry.value = msgspec.json.encode(data).decode()
        content: bytes = graph.SerializeToString()
        assert document.properties(content)
        return content

    return changed


@pytest.fixture
def origin() -> Iterator[Origin]:
    with Origin.running() as origin:
        yield origin


@pytest.fixture
def settings_of(tmp_path: Path) -> Callable[..., Settings]:
    """`settings_of(source, **more)`: settings whose directory is the test's own."""

    def settings_of(source: str, **more: Any) -> Settings:  # noqa: ANN401  # whatever the fields take
        given: dict[str, Any] = {
            "model_directory": tmp_path / "models",
            "load_timeout_s": 5,
            "poll_s": 0.1,
            "access_log": False,
        }
        return Settings(model_source=source, **(given | more))

    return settings_of


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
