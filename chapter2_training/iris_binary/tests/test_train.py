"""Each of the three models knows its one species, and the command knows the three."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chapter2_training.iris_binary.train import project
from mlsys import dataset
from mlsys.catalogue import ROOT
from mlsys.iris import LABELS
from mlsys.model import Model

every_species = pytest.mark.parametrize("species", LABELS)


@every_species
def test_it_is_right_on_at_least_95_of_100_test_flowers(species: str, models: Path) -> None:
    model = Model.load(models / f"iris_binary_{species}" / "model.onnx")
    assert model.metadata.metrics["accuracy"] >= 0.95
    assert model.metadata.metrics[f"recall_{species}"] >= 0.9


@every_species
def test_its_classes_are_the_species_and_other_in_this_order(species: str, models: Path) -> None:
    model = Model.load(models / f"iris_binary_{species}" / "model.onnx")
    assert model.metadata.labels == [species, "other"]
    assert model.metadata.parameters["target_iris"] == species


@every_species
def test_the_first_number_is_the_probability_of_the_species(species: str, models: Path) -> None:
    flowers = dataset.load()
    found = Model.load(models / f"iris_binary_{species}" / "model.onnx").predict(flowers.values.astype(np.float32))
    own = flowers.species == LABELS.index(species)
    assert found[own, 0].mean() > 0.85
    assert found[~own, 0].mean() < 0.15
    assert np.abs(found.sum(axis=1) - 1).max() < 1e-6


@every_species
def test_the_target_is_zero_for_the_species_and_one_for_the_others(species: str) -> None:
    expected = [0 if label == species else 1 for label in LABELS]
    assert project(species).target(np.arange(3)).tolist() == expected


def test_an_unknown_species_is_refused_with_the_list_of_the_right_ones() -> None:
    command = [sys.executable, "-m", "chapter2_training.iris_binary.train", "--target_iris", "rose"]
    result = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr == (
        "Argument --target_iris: invalid choice: 'rose' (choose from 'setosa', 'versicolor', 'virginica')\n"
    )
