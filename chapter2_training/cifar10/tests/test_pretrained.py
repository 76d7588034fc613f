"""What is shipped is what the card says of it, and as good as it should be."""

import os
from pathlib import Path

import numpy as np
import pytest

from chapter2_training.cifar10 import card, evaluate, page, preprocess, ship
from mlsys.model import Model

FACTS = card.load()
AT_LEAST = {"cifar10_large": 0.915, "cifar10_small": 0.88, "cifar10_small_int8": 0.87}
each_model = pytest.mark.parametrize("name", ship.SHIPPED)


def shipped(name: str) -> Path:
    return ship.FOLDER / name / "model.onnx"


@each_model
def test_the_probabilities_that_are_shipped_give_the_accuracy_that_the_card_tells(name: str) -> None:
    with np.load(ship.FOLDER / ship.PROBABILITIES) as arrays:
        found, classes = arrays[name], arrays["classes"]
    assert (found.shape, found.dtype) == ((10_000, 10), np.float16)
    assert np.bincount(classes).tolist() == [1000] * 10
    assert np.mean(found.argmax(axis=1) == classes) == pytest.approx(told(name), abs=2e-4)  # float16 makes ties
    assert told(name) >= AT_LEAST[name]


def told(name: str) -> float:
    return float(FACTS["models"][name]["metrics"]["accuracy"])


@pytest.mark.skipif("CIFAR10_DATA" not in os.environ, reason="CIFAR10_DATA names no pictures to measure on")
def test_measured_again_on_the_pictures_the_models_are_as_good_as_the_card_says(tmp_path: Path) -> None:
    preprocess.preprocess(Path(os.environ["CIFAR10_DATA"]), tmp_path, num_workers=2)
    with np.load(tmp_path / "test.npz") as arrays:
        pixels, classes = arrays["pixels"], arrays["classes"]
    for name in ship.SHIPPED:
        answers = evaluate.answers(Model.load(shipped(name), threads=2), pixels)
        assert np.mean(answers.argmax(axis=1) == classes) == pytest.approx(told(name), abs=5e-4), name


@each_model
def test_the_file_and_the_card_agree(name: str) -> None:
    model = Model.load(shipped(name))
    facts = FACTS["models"][name]
    assert (model.sha256, model.metadata.metrics) == (facts["sha256"], facts["metrics"])
    assert model.metadata.name == name


def test_the_card_is_what_its_facts_give() -> None:
    assert (ship.FOLDER / "README.md").read_text() == page.text(FACTS), "run python -m chapter2_training.cifar10.card"


def test_all_that_is_shipped_is_small() -> None:
    assert sum(path.stat().st_size for path in ship.FOLDER.rglob("*") if path.is_file()) <= 16e6


def test_the_small_one_is_quick_and_the_large_one_quick_enough() -> None:
    limits = {"cifar10_large": 6.0, "cifar10_small": 0.5, "cifar10_small_int8": 0.5}
    assert all(FACTS["measured"]["milliseconds"][name] <= limit for name, limit in limits.items())
