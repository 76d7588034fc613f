"""The forest is good, needs no scaling, and its seed decides it."""

from pathlib import Path

import numpy as np

from chapter2_training.iris_sklearn_rf.train import estimator
from mlsys import dataset
from mlsys.model import Model


def test_it_is_right_on_at_least_93_of_100_test_flowers(models: Path) -> None:
    metrics = Model.load(models / "iris_rf" / "model.onnx").metadata.metrics
    assert metrics["accuracy"] >= 0.93
    assert metrics["cv_mean"] >= 0.93
    assert metrics["log_loss"] <= 0.15


def test_the_unit_of_a_feature_changes_nothing() -> None:
    flowers = dataset.load()
    units = np.array([0.5, 2.0, 16.0, 0.125])  # powers of two: exact, so that even ties fall alike
    plain = estimator().fit(flowers.values, flowers.species).predict_proba(flowers.values)
    scaled = estimator().fit(flowers.values * units, flowers.species).predict_proba(flowers.values * units)
    assert (plain == scaled).all()


def test_two_forests_of_one_seed_are_the_same() -> None:
    flowers = dataset.load()
    first, second = (estimator().fit(flowers.values, flowers.species) for _ in range(2))
    assert (first.predict_proba(flowers.values) == second.predict_proba(flowers.values)).all()


def test_probabilities_are_votes_of_a_hundred_trees(models: Path) -> None:
    points = dataset.surroundings(dataset.load(), 1000, seed=1).astype(np.float32)
    found = Model.load(models / "iris_rf" / "model.onnx").predict(points)
    assert found.min() >= 0
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-5
    assert np.abs(found * 100 - np.round(found * 100)).max() < 1e-3  # every leaf is pure
