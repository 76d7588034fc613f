import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import pytest

from mlsys import iris, metadata
from mlsys.errors import ModelError
from mlsys.model import Model


@pytest.fixture(scope="module")
def content(models: Path) -> bytes:
    return (models / "iris_svc" / "model.onnx").read_bytes()


@pytest.fixture
def save(tmp_path: Path) -> Callable[[bytes], Path]:
    def save(content: bytes) -> Path:
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return path

    return save


def with_document(content: bytes, **changes: Any) -> bytes:  # noqa: ANN401  # any field's value
    """The model file with some fields of its metadata document replaced."""
    proto = onnx.load_model_from_string(content)
    (prop,) = [prop for prop in proto.metadata_props if prop.key == metadata.PROPERTY]
    prop.value = metadata.encode(msgspec.structs.replace(metadata.decode(prop.value), **changes))
    return bytes(proto.SerializeToString())


def test_a_model_is_identified_by_the_sha256_of_its_file(content: bytes, save: Callable[[bytes], Path]) -> None:
    model = Model.load(save(content))
    assert model.sha256 == hashlib.sha256(content).hexdigest()
    assert model.metadata.name == "iris_svc"


def test_a_batch_of_any_size_is_predicted_row_by_row(content: bytes, save: Callable[[bytes], Path]) -> None:
    model = Model.load(save(content))
    batch = np.random.default_rng(0).uniform(0, 8, (7, 4)).astype(np.float32)
    probabilities = model.predict(batch)
    assert probabilities.shape == (7, 3)
    assert probabilities.dtype == np.float32
    for row, expected in zip(batch, probabilities, strict=True):
        np.testing.assert_allclose(model.predict(row[np.newaxis])[0], expected, atol=1e-6)


def test_rows_are_classified_by_name(content: bytes, save: Callable[[bytes], Path]) -> None:
    flowers = np.array([[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]], dtype=np.float32)
    assert Model.load(save(content)).classify(flowers) == ["setosa", "virginica"]


def test_a_model_answers_with_several_threads_as_with_one(content: bytes, save: Callable[[bytes], Path]) -> None:
    path = save(content)
    sample = np.array(iris.SAMPLE, dtype=np.float32)
    np.testing.assert_array_equal(Model.load(path, threads=2).predict(sample), Model.load(path).predict(sample))


def test_a_file_cut_off_anywhere_is_refused(content: bytes, save: Callable[[bytes], Path]) -> None:
    for length in [*range(0, len(content), 97), len(content) - 1]:
        path = save(content[:length])
        with pytest.raises(ModelError) as caught:
            Model.load(path)
        assert str(caught.value).startswith(f"Model {path} cannot be used: ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda _: b"", "it has 0 `mlsys` metadata properties instead of one"),
        (lambda _: b"\x89PNG\r\n\x1a\n" * 10, "it is not a whole ONNX file"),
        (lambda _: onnx.ModelProto().SerializeToString(), "it has 0 `mlsys` metadata properties"),
        (lambda content: content + content, "it has 2 `mlsys` metadata properties instead of one"),
        (lambda content: with_document(content, schema_version=9), "schema version 9"),
        (
            lambda content: with_document(content, inputs=[]),
            "its metadata declares the inputs , and its graph",
        ),
        (lambda content: with_document(content, outputs=[]), "its metadata declares the outputs"),
        (lambda content: with_document(content, sample=[[float("nan")] * 4]), "`mlsys` property"),
    ],
)
def test_a_file_that_disagrees_with_itself_is_refused_with_the_reason(
    content: bytes, save: Callable[[bytes], Path], make: Callable[[bytes], bytes], reason: str
) -> None:
    path = save(make(content))
    with pytest.raises(ModelError) as caught:
        Model.load(path)
    assert str(caught.value).startswith(f"Model {path} cannot be used: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize("sample", [[[1.0, 2.0]], [[1.0, 2.0, 3.0, 4.0], [1.0]], []])
def test_a_sample_of_another_shape_is_refused(
    content: bytes, save: Callable[[bytes], Path], sample: list[list[float]]
) -> None:
    with pytest.raises(ModelError, match=r"it cannot predict its own sample \(.+\)\. Build it with") as caught:
        Model.load(save(with_document(content, sample=sample)))
    assert "\n" not in str(caught.value)


def test_a_model_without_a_label_is_refused(content: bytes, save: Callable[[bytes], Path]) -> None:
    proto = onnx.load_model_from_string(content)
    del proto.graph.output[0]
    (_, probabilities) = Model.load(save(content)).metadata.outputs
    with pytest.raises(ModelError, match=r"outputs probabilities .* instead of a label and a vector"):
        Model.load(save(with_document(proto.SerializeToString(), outputs=[probabilities])))


def test_a_graph_that_the_runtime_refuses_is_refused_in_one_line(content: bytes, save: Callable[[bytes], Path]) -> None:
    proto = onnx.load_model_from_string(content)
    proto.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match=r"ONNX Runtime refuses it \(.*NoSuchOperator") as caught:
        Model.load(save(proto.SerializeToString()))
    assert "\n" not in str(caught.value)


def test_a_model_whose_own_sample_gives_no_finite_answer_is_refused(
    content: bytes, save: Callable[[bytes], Path]
) -> None:
    proto = onnx.load_model_from_string(content)
    (scaler,) = [node for node in proto.graph.node if node.op_type == "Scaler"]
    (scale,) = [attribute for attribute in scaler.attribute if attribute.name == "scale"]
    scale.floats[:] = [float("nan")] * 4
    with pytest.raises(ModelError, match="its prediction of its own sample is not finite"):
        Model.load(save(proto.SerializeToString()))


def test_a_missing_file_and_a_directory_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"Model .*/none\.onnx cannot be used: no such file or directory\."):
        Model.load(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="cannot be used: is a directory"):
        Model.load(tmp_path)


def test_a_file_that_may_not_be_read_is_refused_by_name(content: bytes, save: Callable[[bytes], Path]) -> None:
    path = save(content)
    path.chmod(0)
    path.parent.chmod(0o755)
    code = f"""
import os
from pathlib import Path
from mlsys.errors import ModelError
from mlsys.model import Model
if os.geteuid() == 0:  # root reads every file
    os.seteuid(65534)
try:
    Model.load(Path({str(path)!r}))
except ModelError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]).stdout
    assert "model.onnx cannot be used: permission denied" in said


def test_a_model_for_other_features_or_classes_is_refused_with_both_lists(
    content: bytes, save: Callable[[bytes], Path]
) -> None:
    model = Model.load(save(content))
    model.require(features=iris.FEATURES, labels=iris.LABELS)
    with pytest.raises(ModelError, match=r"its features are \['sepal_length', .*needs \['height'\]"):
        model.require(features=("height",), labels=iris.LABELS)
    with pytest.raises(ModelError, match=r"its labels are \['setosa', .*needs \['cat', 'dog'\]"):
        model.require(features=iris.FEATURES, labels=("cat", "dog"))
