"""What every training project keeps to: nothing of the test flowers is learnt, and the document says all."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from mlsys import dataset
from mlsys.iris import FEATURES, LABELS, SAMPLE
from mlsys.metadata import Metadata
from mlsys.model import Model
from mlsys.project import Project
from mlsys.train import file_of, trainers

every_model = pytest.mark.parametrize("name", trainers())


def project_of(name: str) -> Project:
    projects: tuple[Project, ...] = importlib.import_module(trainers()[name]).PROJECTS
    return next(project for project in projects if project.name == name)


def document(name: str, models: Path) -> Metadata:
    return Model.load(file_of(name, models)).metadata


def test_the_table_of_trainers_and_the_projects_name_the_same_models() -> None:
    modules = [importlib.import_module(module) for module in set(trainers().values())]
    assert {one.name: one.trainer for module in modules for one in module.PROJECTS} == trainers()


@every_model
def test_scaling_is_learnt_from_the_training_part_alone(name: str) -> None:
    project = project_of(name)
    flowers = dataset.load(project.features)
    train, _ = dataset.split(flowers, test_size=0.3, seed=project.seed, stratified=project.stratified)
    model = project.estimator().fit(train.values, project.target(train.species))
    if isinstance(model, GridSearchCV):
        model = model.best_estimator_
    if isinstance(model, Pipeline):
        assert model[0].mean_ == pytest.approx(train.values.mean(axis=0))
        assert model[0].mean_ != pytest.approx(flowers.values.mean(axis=0), abs=1e-4)
    else:
        assert name == "iris_rf"  # scales nothing


@every_model
def test_the_document_names_project_data_and_libraries(name: str, models: Path) -> None:
    found, project = document(name, models), project_of(name)
    train, _ = dataset.split(
        dataset.load(project.features), test_size=0.3, seed=project.seed, stratified=project.stratified
    )
    assert (found.name, found.trainer) == (name, trainers()[name])
    assert (tuple(found.labels), tuple(found.features)) == (project.labels, project.features)
    assert found.data_sha256 == train.sha256()
    assert set(found.libraries) == {"scikit-learn", "skl2onnx", "onnx"}
    assert found.parameters["test_size"] == 0.3
    assert found.sample == [[SAMPLE[0][FEATURES.index(feature)] for feature in project.features]]


@every_model
def test_the_profile_is_of_the_training_part(name: str, models: Path) -> None:
    project = project_of(name)
    train, test = dataset.split(
        dataset.load(project.features), test_size=0.3, seed=project.seed, stratified=project.stratified
    )
    means = [feature.mean for feature in document(name, models).profile]
    assert means == pytest.approx(train.values.mean(axis=0), abs=1e-6)
    assert means != pytest.approx(test.values.mean(axis=0), abs=1e-3)


@every_model
def test_the_cross_validated_mean_lies_inside_its_interval(name: str, models: Path) -> None:
    metrics = document(name, models).metrics
    assert 0 <= metrics["cv_low"] <= metrics["cv_mean"] <= metrics["cv_high"] <= 1


@every_model
def test_a_classifiers_accuracy_is_that_of_the_file_on_the_test_part(name: str, models: Path) -> None:
    project, model = project_of(name), Model.load(file_of(name, models))
    _, test = dataset.split(
        dataset.load(project.features), test_size=0.3, seed=project.seed, stratified=project.stratified
    )
    found = model.classify(test.values.astype(np.float32))
    if project.labels == ("inlier", "outlier"):
        expected, metric = ["inlier"] * len(test), "inlier_rate"
    else:
        expected, metric = [project.labels[index] for index in project.target(test.species)], "accuracy"
    assert model.metadata.metrics[metric] == pytest.approx(np.mean(np.array(found) == np.array(expected)), abs=1e-6)


@every_model
def test_models_of_species_declare_precision_and_recall_of_each_class(name: str, models: Path) -> None:
    found = document(name, models)
    if name != "iris_outlier":
        assert set(found.labels) <= {*LABELS, "other"}
        assert {f"{kind}_{label}" for kind in ("precision", "recall") for label in found.labels} <= set(found.metrics)
