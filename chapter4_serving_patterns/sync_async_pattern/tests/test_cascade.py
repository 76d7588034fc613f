"""The second lesson: on made-up pictures whose truth is known, and on what chapter 2 ships."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .. import cascade, choose, evidence
from ..calibration import CALIBRATION
from ..cascade import Floats, Ints, Judged

RANDOM = np.random.default_rng(7)


def pictures(temperature: float, count: int = 20_000) -> tuple[Floats, Ints]:
    """Probabilities [n, 10] of a network that is as often right as it says at this temperature, and the classes."""
    logits = RANDOM.normal(scale=3, size=(count, 10))
    honest = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    classes = (honest.cumsum(axis=1) < RANDOM.random((count, 1))).sum(axis=1)
    said = np.exp(logits * temperature)
    return said / said.sum(axis=1, keepdims=True), np.minimum(classes, 9)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    probabilities, classes = pictures(temperature)
    assert cascade.fit_temperature(probabilities, classes) == pytest.approx(temperature, rel=0.03)


def test_a_fitted_temperature_makes_probabilities_frequencies_also_on_other_pictures() -> None:
    known, classes = pictures(0.6)
    others, their_classes = pictures(0.6)
    temperature = cascade.fit_temperature(known, classes)
    right = others.argmax(axis=1) == their_classes
    assert cascade.calibration_error(others.max(axis=1), right) > 0.1
    assert cascade.calibration_error(cascade.calibrated(others, temperature).max(axis=1), right) < 0.01


@given(st.floats(0.1, 10), st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None, derandomize=True)
def test_a_temperature_changes_no_label(temperature: float, seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.full(10, 0.3), size=20)
    cooled = cascade.calibrated(probabilities, temperature)
    assert cooled.sum(axis=1) == pytest.approx(1)
    assert (cooled.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_a_probability_of_0_is_no_infinity() -> None:
    certain = np.eye(10)[:1]
    assert np.isfinite(cascade.calibrated(certain, 0.1)).all()
    assert np.isfinite(cascade.log_loss(certain, np.array([3])))


def test_at_the_ends_one_model_answers_alone() -> None:
    judged = Judged(np.array([0.4, 1.0]), np.array([True, True]), np.array([False, True]))
    assert cascade.at(judged, 0.0) == (0.0, 0.0, 1.0)
    assert cascade.at(judged, 0.5) == (0.5, 0.5, 0.5)
    assert cascade.at(judged, 1.0) == (1.0, 1.0, 0.5)


def test_chosen_is_what_asks_least_and_loses_no_more_than_allowed() -> None:
    confidence = np.linspace(0.05, 0.95, 10)
    judged = Judged(confidence, confidence > 0.5, np.ones(10, dtype=bool))
    assert cascade.choose(judged, [0.2, 0.5, 0.7], loss=0.0) == (0.5, 0.5, 1.0)
    assert cascade.choose(judged, [0.2, 0.5, 0.7], loss=0.3).threshold == 0.2
    assert cascade.choose(judged, [0.2], loss=0.0) == (1.0, 1.0, 1.0)


def test_the_halves_have_no_picture_in_common_and_as_many_of_each_class() -> None:
    classes = RANDOM.permutation(np.repeat(np.arange(10), 100))
    first, second = cascade.halves(classes)
    assert sorted([*first, *second]) == list(range(1000))
    for half in (first, second):
        assert np.bincount(classes[half]).tolist() == [50] * 10


def test_the_file_is_what_the_shipped_probabilities_give() -> None:
    found = choose.chosen(evidence.load())
    expected = choose.text(found)
    assert choose.FILE.read_text() == expected, f"run python -m {choose.__name__}"
    assert found == CALIBRATION


def test_what_was_chosen_on_one_half_holds_on_the_other() -> None:
    known = evidence.load()
    _, second = cascade.halves(known.classes)
    half = known.of(second)
    raw = cascade.judge(half.fast, half.slow, half.classes, 1.0)
    judged = cascade.judge(half.fast, half.slow, half.classes, CALIBRATION.temperature)
    assert cascade.calibration_error(judged.confidence, judged.fast_right) < 0.02
    assert cascade.calibration_error(judged.confidence, judged.fast_right) < cascade.calibration_error(
        raw.confidence, raw.fast_right
    )
    point, alone = cascade.at(judged, CALIBRATION.threshold), cascade.at(judged, 1.0)
    assert point.accuracy > alone.accuracy - choose.LOSS - 0.002, "two standard errors of the difference"
    assert point.accuracy > cascade.at(judged, 0.0).accuracy + 0.02
    assert point.asked < 0.5


def test_the_readme_says_what_the_shipped_probabilities_give() -> None:
    text = choose.FILE.with_name("README.md").read_text()
    assert f"`make run CASCADE_THRESHOLD={CALIBRATION.threshold}`" in text
    rows = re.findall(r"^\| ([\d.]+)[^|]*\| ([\d.]+) % \| ([\d.]+) % \|", text, re.MULTILINE)
    assert {"0", str(CALIBRATION.threshold), "1"} < {threshold for threshold, *_ in rows}
    known = evidence.load()
    half = known.of(cascade.halves(known.classes)[1])
    judged = cascade.judge(half.fast, half.slow, half.classes, CALIBRATION.temperature)
    for threshold, asked, accuracy in rows:
        point = cascade.at(judged, float(threshold))
        assert (asked, accuracy) == (f"{100 * point.asked:.1f}", f"{100 * point.accuracy:.2f}")
