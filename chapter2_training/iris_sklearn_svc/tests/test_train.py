"""The support-vector machines are good, indifferent to units, and give probabilities that do not jump."""

from pathlib import Path

import numpy as np

from chapter2_training.iris_sklearn_svc.train import PROJECTS, estimator
from mlsys import dataset
from mlsys.model import Model


def svc(models: Path) -> Model:
    return Model.load(models / "iris_svc" / "model.onnx")


def test_it_is_right_on_at_least_95_of_100_test_flowers(models: Path) -> None:
    metrics = svc(models).metadata.metrics
    assert metrics["accuracy"] >= 0.95
    assert metrics["cv_mean"] >= 0.9
    assert metrics["log_loss"] <= 0.15


def test_millimetres_teach_it_the_same_as_centimetres() -> None:
    flowers = dataset.load()
    in_cm = estimator().fit(flowers.values, flowers.species).predict_proba(flowers.values)
    in_mm = estimator().fit(flowers.values * 10, flowers.species).predict_proba(flowers.values * 10)
    assert np.abs(in_cm - in_mm).max() < 1e-6


def test_probabilities_add_up_to_one_wherever_a_flower_may_lie(models: Path) -> None:
    points = dataset.surroundings(dataset.load(), 1000, seed=1).astype(np.float32)
    assert np.abs(svc(models).predict(points).sum(axis=1) - 1).max() < 1e-5


def test_between_two_flowers_probabilities_never_jump(models: Path) -> None:
    setosa, virginica = dataset.load().values[[0, 149]]
    way = setosa + np.linspace(0, 1, 10_001)[:, None] * (virginica - setosa)
    steps = np.abs(np.diff(svc(models).predict(way.astype(np.float32)), axis=0))
    assert steps.max() < 0.001


def test_a_tenth_of_a_millimetre_of_error_hardly_moves_an_answer(models: Path) -> None:
    values = dataset.load().values
    noise = np.random.default_rng(0).uniform(-0.01, 0.01, values.shape)
    moved = svc(models).predict((values + noise).astype(np.float32))
    assert np.abs(moved - svc(models).predict(values.astype(np.float32))).max() < 0.05


def test_the_classes_are_the_three_species() -> None:
    assert PROJECTS[0].labels == ("setosa", "versicolor", "virginica")
