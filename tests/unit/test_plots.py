"""Every picture that fits a model is drawn, and it says what it shows."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from mlsys import plots, project
from mlsys.train import trainers

PICTURES = {
    "iris_svc": ["calibration", "confusion", "regions"],
    "iris_perceptron": ["confusion", "regions"],
    "iris_outlier": ["regions", "scores"],
}


def trained(name: str) -> project.Trained:
    module = importlib.import_module(trainers()[name])
    return project.fit(next(p for p in module.PROJECTS if p.name == name), test_size=0.3)


@pytest.mark.parametrize("name", PICTURES)
def test_a_model_gets_the_pictures_that_fit_it(name: str, tmp_path: Path) -> None:
    written = plots.save(trained(name), tmp_path / "img")
    assert sorted(path.stem for path in written) == [f"{name}_{picture}" for picture in PICTURES[name]]
    for path in written:
        picture = imread(path)
        assert picture.shape[:2] == (528, 672)
        assert picture.std() > 0.05  # more than an empty page


@pytest.mark.parametrize("draw", [plots.regions, plots.calibration, plots.confusion])
def test_a_picture_names_model_axes_and_number_of_flowers(draw: plots.Picture) -> None:
    axes = Figure().add_subplot()
    draw(trained("iris_svc"), axes)
    legend = axes.get_legend()
    words = axes.get_title() + " ".join(text.get_text() for text in (legend.get_texts() if legend else []))
    assert "iris_svc" in axes.get_title()
    assert axes.get_xlabel()
    assert axes.get_ylabel()
    assert "45 test flowers" in words or "test (n=15)" in words


def test_each_region_names_its_class_where_no_flower_is() -> None:
    axes, model = Figure().add_subplot(), trained("iris_svc")
    plots.regions(model, axes)
    assert {text.get_text() for text in axes.texts} == set(model.project.labels)
    for text in axes.texts:
        petal = text.get_position()
        flower = [*model.train.values.mean(axis=0)[:2], *petal]
        assert model.project.labels[model.model.predict([flower])[0]] == text.get_text()
        assert not (np.abs(model.train.values[:, 2:] - petal) < [0.3, 0.08]).all(axis=1).any()


def test_the_marks_of_a_detector_are_said_to_be_its_own_verdict() -> None:
    axes = Figure().add_subplot()
    plots.regions(trained("iris_outlier"), axes)
    assert "the model's verdict" in axes.get_title()


@pytest.mark.parametrize(("name", "points"), [("iris_binary_virginica", 45), ("iris_svc", 135)])
def test_a_calibration_counts_each_flower_once_for_each_probability_that_stands_for_itself(
    name: str, points: int
) -> None:
    axes = Figure().add_subplot()
    plots.calibration(trained(name), axes)
    assert sum(int(text.get_text()) for text in axes.texts) == points


def test_the_score_histograms_sum_to_a_hundred_per_cent_each() -> None:
    axes = Figure().add_subplot()
    plots.scores(trained("iris_outlier"), axes)
    heights = [bar.get_height() for bar in axes.patches]  # type: ignore[attr-defined]
    assert sum(heights) == pytest.approx(200)
