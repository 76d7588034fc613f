"""Any ONNX file: what it takes, what it gives, and which file is refused."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import pytest

from mlsys.errors import ModelError
from mlsys.metadata import PROPERTY, Tensor
from mlsys.network import NUMPY, Network


@pytest.mark.parametrize("datatype", [name for name in NUMPY if name != "BYTES"])
def test_a_network_without_a_document_is_served_as_its_graph_declares_it(small: Path, datatype: str) -> None:
    path = small / datatype.lower() / "model.onnx"
    network = Network.load(path)
    assert network.metadata is None
    assert network.inputs == [Tensor(name="input", datatype=datatype, shape=[-1, 2])]
    assert network.version == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    batch = np.array([[0, 1], [1, 0]], NUMPY[datatype])
    (same,) = network.run({"input": batch})
    assert same.dtype == batch.dtype
    np.testing.assert_array_equal(same, batch)


def test_texts_go_through_a_network_as_they_are(small: Path) -> None:
    network = Network.load(small / "text" / "model.onnx")
    (same,) = network.run({"input": np.array([["", "é\x00"]], object)})
    assert same.tolist() == [["", "é\x00"]]


def test_outputs_are_given_by_name_in_the_order_asked_for(small: Path) -> None:
    network = Network.load(small / "adder" / "model.onnx")
    one = np.ones([1, 3], np.float32)
    difference, total = network.run({"a": one, "b": one}, ["difference", "sum"])
    assert (difference[0, 0], total[0, 0]) == (0, 2)


@pytest.mark.parametrize(("name", "stacks"), [("adder", True), ("text", True), ("fixed", False), ("positive", False)])
def test_requests_are_stacked_only_where_rows_in_are_rows_out(small: Path, name: str, *, stacks: bool) -> None:
    assert Network.load(small / name / "model.onnx").stacks() is stacks


def test_a_model_of_ours_stacks_and_has_its_document(models: Path) -> None:
    network = Network.load(models / "iris_svc" / "model.onnx")
    assert network.stacks()
    assert network.metadata is not None
    assert network.metadata.name == "iris_svc"
    (three,) = network.sample(rows=3).values()
    assert three.tolist() == network.metadata.sample * 3 or three.shape == (3, 4)


@pytest.mark.parametrize(
    ("documents", "reason"),
    [(["{}"], "is not a valid metadata document"), (["{}", "{}"], "it has 2 `mlsys` metadata properties")],
)
def test_a_damaged_document_or_several_are_refused(
    small: Path, tmp_path: Path, documents: list[str], reason: str
) -> None:
    model = onnx.load(small / "adder" / "model.onnx")
    for document in documents:
        model.metadata_props.add(key=PROPERTY, value=document)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=rf"^Model {path} cannot be used: .*{reason}"):
        Network.load(path)


def test_a_network_of_something_else_than_tensors_is_refused_by_name(tmp_path: Path) -> None:
    sequence = onnx.helper.make_sequence_type_proto(onnx.helper.make_tensor_type_proto(1, ["n"]))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("SequenceConstruct", ["x"], ["y"])],
        "g",
        [onnx.helper.make_tensor_value_info("x", 1, ["n"])],
        [onnx.helper.make_value_info("y", sequence)],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8)
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"its output y is a seq\(tensor\(float\)\), which no protocol here can carry"):
        Network.load(path)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"none\.onnx cannot be used: no such file or directory\.$"):
        Network.load(tmp_path / "none.onnx")
