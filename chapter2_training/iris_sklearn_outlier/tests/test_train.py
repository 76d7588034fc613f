"""The detector takes flowers as flowers and other things as outliers, and its label is its score's sign."""

from pathlib import Path

import numpy as np
import pytest

from chapter2_training.iris_sklearn_outlier.train import PROJECTS
from mlsys import dataset
from mlsys.model import Model


def detector(models: Path) -> Model:
    return Model.load(models / "iris_outlier" / "model.onnx")


def test_at_least_85_of_100_test_flowers_are_inliers(models: Path) -> None:
    assert detector(models).metadata.metrics["inlier_rate"] >= 0.85


def test_at_least_90_of_100_points_around_the_data_are_outliers(models: Path) -> None:
    metrics = detector(models).metadata.metrics
    assert metrics["outlier_rate_surroundings"] >= 0.9
    assert metrics["auc_surroundings"] >= 0.95


def test_about_a_tenth_of_the_training_flowers_lies_outside_as_nu_says(models: Path) -> None:
    project = PROJECTS[0]
    train, _ = dataset.split(dataset.load(), test_size=0.3, seed=project.seed, stratified=project.stratified)
    labels = detector(models).classify(train.values.astype(np.float32))
    assert labels.count("outlier") / len(labels) == pytest.approx(0.1, abs=0.03)


def test_a_score_above_zero_is_an_inlier_and_any_other_an_outlier(models: Path) -> None:
    points = dataset.surroundings(dataset.load(), 1000, seed=1).astype(np.float32)
    scores = detector(models).predict(points)
    assert scores.shape == (1000, 1)
    assert detector(models).classify(points) == ["inlier" if score > 0 else "outlier" for score in scores[:, 0]]


@pytest.mark.parametrize("strange", [[0, 0, 0, 0], [51, 35, 14, 2], [5.1, 3.5, 14, 0.2], [-5.1, 3.5, 1.4, 0.2]])
def test_no_flower_at_all_a_slipped_point_and_a_wrong_unit_are_outliers(strange: list[float], models: Path) -> None:
    assert detector(models).classify(np.array([strange], dtype=np.float32)) == ["outlier"]


def test_the_typical_flower_of_each_species_is_an_inlier(models: Path) -> None:
    flowers = dataset.load()
    typical = [np.median(flowers.values[flowers.species == species], axis=0) for species in range(3)]
    assert detector(models).classify(np.array(typical, dtype=np.float32)) == ["inlier"] * 3
