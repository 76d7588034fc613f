"""A model file answers as the scikit-learn model that it was made from, and its bytes depend on nothing else."""

import functools
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mlsys import dataset, project
from mlsys.catalogue import ROOT
from mlsys.metadata import PROPERTY, properties
from mlsys.model import Model
from mlsys.testing import unmeasured
from mlsys.train import file_of, trainers

every_model = pytest.mark.parametrize("name", trainers())
TOLERANCE = 1e-5


@functools.cache
def trained(name: str) -> project.Trained:
    declared = importlib.import_module(trainers()[name]).PROJECTS
    return project.fit(next(one for one in declared if one.name == name), test_size=0.3)


def expected(name: str, points: dataset.Floats) -> dataset.Floats:
    """What scikit-learn answers, as [n, k]."""
    model = trained(name).model
    answer: dataset.Floats = (model.predict_proba if hasattr(model, "predict_proba") else model.decision_function)(
        points
    )
    return answer.reshape(len(points), -1)


def points_of(name: str) -> dataset.Floats:
    """The whole data set, and 10,000 float32 points over its range widened by half."""
    flowers = dataset.load(trained(name).project.features)
    return np.concatenate([flowers.values, dataset.surroundings(flowers, 10_000, seed=20261120)])


def classes(name: str, points: dataset.Floats) -> list[str]:
    """The labels that scikit-learn gives."""
    found = trained(name).model.predict(points)
    if name == "iris_outlier":
        return ["inlier" if sign == 1 else "outlier" for sign in found]
    return [trained(name).project.labels[index] for index in found]


@every_model
def test_the_file_answers_as_scikit_learn_does(name: str, models: Path) -> None:
    points = points_of(name)
    answers = Model.load(file_of(name, models)).predict(points.astype(np.float32))
    assert np.abs(answers - expected(name, points)).max() <= TOLERANCE


@every_model
def test_the_file_gives_the_same_class_wherever_there_is_no_tie(name: str, models: Path) -> None:
    points = points_of(name)
    answers = expected(name, points)
    # An outlier detector's one score competes with 0.
    ordered = np.sort(answers if answers.shape[1] > 1 else np.c_[answers, np.zeros(len(answers))], axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > TOLERANCE
    assert clear.mean() > 0.95  # a forest has exact ties
    found = np.array(Model.load(file_of(name, models)).classify(points.astype(np.float32)))
    assert (found == np.array(classes(name, points)))[clear].all()


@every_model
def test_one_row_is_answered_as_the_same_row_in_a_batch(name: str, models: Path) -> None:
    model = Model.load(file_of(name, models))
    batch = dataset.load(trained(name).project.features).values.astype(np.float32)
    alone = np.concatenate([model.predict(row[None]) for row in batch])
    assert np.abs(model.predict(batch) - alone).max() <= 1e-6


@every_model
def test_another_process_makes_the_same_bytes(name: str, models: Path) -> None:
    assert trained(name).content == file_of(name, models).read_bytes()


def test_two_processes_with_different_hash_seeds_make_the_same_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mlsys.train", "all", "--output"]
    running = []
    for seed in ("1", "2"):
        environment = unmeasured() | {"PYTHONHASHSEED": seed}
        running.append(subprocess.Popen([*command, str(tmp_path / seed)], cwd=ROOT, env=environment))
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    for name in trainers():
        assert file_of(name, tmp_path / "1").read_bytes() == file_of(name, tmp_path / "2").read_bytes()


@every_model
def test_the_graph_has_the_artefacts_names_and_one_free_dimension(name: str, models: Path) -> None:
    graph = onnx.load(file_of(name, models))
    metadata = trained(name).metadata
    values = "probabilities" if hasattr(trained(name).model, "predict_proba") else "scores"
    assert [value.name for value in graph.graph.input] == ["input"]
    assert [value.name for value in graph.graph.output] == ["label", values]
    sizes = [
        [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.graph.input, *graph.graph.output)
    ]
    columns = 1 if name == "iris_outlier" else len(metadata.labels)
    assert sizes == [["n", len(metadata.features)], ["n"], ["n", columns]]


@every_model
def test_the_file_holds_one_property_and_sorted_opsets(name: str, models: Path) -> None:
    path = file_of(name, models)
    assert [key for key, _ in properties(path.read_bytes())] == [PROPERTY]
    domains = [opset.domain for opset in onnx.load(path).opset_import]
    assert domains == sorted(set(domains))
