from pathlib import Path

import numpy as np
import pytest

from mlsys import iris
from mlsys.errors import ModelError
from mlsys.model import Model

from ..predictor import IrisPredictor


@pytest.fixture(scope="module")
def predictor(models: Path) -> IrisPredictor:
    return IrisPredictor(Model.load(models / "iris_svc" / "model.onnx"))


@pytest.mark.parametrize(
    ("flower", "label"),
    [
        ([5.1, 3.5, 1.4, 0.2], "setosa"),
        ([5.7, 2.8, 4.1, 1.3], "versicolor"),
        ([6.7, 3.0, 5.2, 2.3], "virginica"),
    ],
)
def test_a_typical_flower_of_each_class_is_named(predictor: IrisPredictor, flower: list[float], label: str) -> None:
    assert predictor.label(flower) == label


def test_probabilities_are_three_and_sum_to_one(predictor: IrisPredictor) -> None:
    probabilities = predictor.probabilities(iris.SAMPLE[0])
    assert len(probabilities) == len(iris.LABELS)
    assert sum(probabilities) == pytest.approx(1, abs=1e-6)


def test_the_label_is_that_of_the_greatest_probability(predictor: IrisPredictor) -> None:
    for flower in np.random.default_rng(0).uniform(0, 8, (200, 4)).tolist():
        probabilities = predictor.probabilities(flower)
        assert predictor.label(flower) == iris.LABELS[probabilities.index(max(probabilities))]


@pytest.mark.parametrize("extreme", [-3.4e38, -1e30, -0.0, 1e-45, 1e30, 3.4e38])
def test_the_most_extreme_numbers_that_a_flower_may_have_give_finite_probabilities(
    predictor: IrisPredictor, extreme: float
) -> None:
    assert np.isfinite(predictor.probabilities([extreme] * 4)).all()
    assert np.isfinite(predictor.probabilities([extreme, -extreme, 1.0, 0.2])).all()


def test_a_model_of_other_features_is_refused_with_both_lists(models: Path) -> None:
    with pytest.raises(
        ModelError, match=r"iris_perceptron/model\.onnx.*petal_length.*this service needs.*sepal_length"
    ):
        IrisPredictor(Model.load(models / "iris_perceptron" / "model.onnx"))


def test_a_model_of_other_classes_is_refused(models: Path) -> None:
    with pytest.raises(ModelError, match=r"its labels are .*, and this service needs \['setosa'"):
        IrisPredictor(Model.load(models / "iris_binary_setosa" / "model.onnx"))
