"""The variables of real model files, and what a person may say against them."""

import json
from pathlib import Path

import pytest

from mlsys.errors import ModelError

from .. import variables
from ..variables import Contradiction, Variables


def of(models: Path, name: str, **given: str) -> Variables:
    return variables.of(name, models / name / "model.onnx", given)


def test_a_models_variables_are_those_of_its_file(models: Path) -> None:
    found = of(models, "iris_outlier")
    assert (found.data_type, found.data_structure, found.data_sample) == ("float32", "(1,4)", "[[5.1, 3.5, 1.4, 0.2]]")
    assert (found.prediction_type, found.prediction_structure, found.values) == ("float32", "(1,1)", "scores")
    assert (found.labels, found.label_sample) == (["inlier", "outlier"], "inlier")
    assert len(json.loads(found.prediction_sample)) == 1


@pytest.mark.parametrize(
    ("name", "is_iris"),
    [("iris_svc", True), ("iris_rf", True), ("iris_outlier", False), ("iris_perceptron", False)],
)
def test_a_model_is_about_flowers_if_mlsys_iris_says_all_about_it(models: Path, name: str, is_iris: bool) -> None:
    assert of(models, name).is_iris is is_iris


def test_what_agrees_with_the_model_may_be_written(models: Path) -> None:
    given = {"data_type": "float32", "data_structure": "(1, 4)", "prediction_structure": "(1,3)"}
    assert of(models, "iris_svc", **given) == of(models, "iris_svc")


def test_a_sample_of_ones_own_is_the_one_that_is_answered(models: Path) -> None:
    found = of(models, "iris_svc", data_sample="[[6.3, 3.3, 6, 2.5]]")
    assert (found.data_sample, found.label_sample) == ("[[6.3, 3.3, 6.0, 2.5]]", "virginica")
    assert not found.is_iris
    assert of(models, "iris_svc", prediction_sample="[1, 0, 0]").prediction_sample == "[1.0, 0.0, 0.0]"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("data_type", "float64"),
        ("data_structure", "(1,5)"),
        ("prediction_type", "int64"),
        ("prediction_structure", "(3,)"),
        ("data_sample", "[[1, 2, 3]]"),
        ("data_sample", "[[1, 2, 3, 1e39]]"),
        ("data_sample", "[[1, 2, 3, true]]"),
        ("data_sample", "[[1, 2, 3, null]]"),
        ("data_sample", f"[[1, 2, 3, {'9' * 400}]]"),
        ("data_sample", "[[1, 2, 3, 4], [1, 2, 3, 4]]"),
        ("data_sample", "[1, 2, 3, 4]"),
        ("data_sample", "[[1, 2"),
        ("data_sample", "{}"),
        ("data_sample", ""),
        ("prediction_sample", "[1, 0]"),
        ("prediction_sample", "setosa"),
    ],
)
def test_what_contradicts_the_model_is_refused_with_the_value(models: Path, variable: str, value: str) -> None:
    with pytest.raises(Contradiction) as refused:
        of(models, "iris_svc", **{variable: value})
    assert f"{variable}={value}" in str(refused.value)


def test_a_model_of_pictures_is_refused_with_where_to_start(models: Path) -> None:
    with pytest.raises(Contradiction, match=r"takes UINT8 \[-1, 32, 32, 3\].*start from .*synchronous_pattern"):
        of(models, "cifar10_small")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="cannot be used"):
        variables.of("model", tmp_path / "model.onnx", {})
