"""The second lesson: when the fast model is sure enough, and what it costs to believe it.

A network's top probability orders its answers well, and is a poor frequency: trained with smoothed labels it says 0.85
and is right in 97 of 100. One number, the temperature, fitted on pictures whose class is known, makes it a frequency
(Guo et al., On Calibration of Modern Neural Networks, 2017). Then a threshold on it has a meaning, and is chosen where
the two models together are nearly as good as the slow one alone. Both are chosen on one half of the known pictures and
judged on the other; judged where it was chosen, a choice looks better than it is.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_LEAST = 1e-8  # of a probability: below it a float16 is 0, whose logarithm is none
_BINS = 10
_GOLDEN = (5**0.5 - 1) / 2


class Calibration(NamedTuple):
    """What was chosen: for which model (version: 12 hex digits of its sha256), and with which slow one in mind."""

    fast: str
    slow: str
    temperature: float
    threshold: float


class Judged(NamedTuple):
    """Known pictures [n]: how sure the fast model is, whether it is right, and whether the slow one is."""

    confidence: Floats
    fast_right: Bools
    slow_right: Bools


class Point(NamedTuple):
    """At a threshold: shares of the pictures that the slow model is asked for, and that are answered rightly."""

    threshold: float
    asked: float
    accuracy: float


def halves(classes: Ints) -> tuple[Ints, Ints]:
    """Indices of the half to choose on and of the half to judge on, with as many pictures of each class."""
    by_class = np.argsort(classes, kind="stable")
    return by_class[0::2], by_class[1::2]


def calibrated(probabilities: Floats, temperature: float) -> Floats:
    """Probabilities [n, k] as if the network's last sums had been divided by the temperature."""
    logits = np.log(np.maximum(probabilities, _LEAST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: Floats = powers / powers.sum(axis=1, keepdims=True)
    return result


def log_loss(probabilities: Floats, classes: Ints) -> float:
    """Mean of -log of the probability [n, k] that was given to the class [n] that is so."""
    return float(-np.log(np.maximum(probabilities[np.arange(len(classes)), classes], _LEAST)).mean())


def fit_temperature(probabilities: Floats, classes: Ints) -> float:
    """The temperature with the least log loss. In its inverse the loss is convex: golden-section search finds it."""
    low, high = 0.05, 20.0
    while high - low > 1e-4:
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        if log_loss(calibrated(probabilities, 1 / left), classes) < log_loss(
            calibrated(probabilities, 1 / right), classes
        ):
            high = right
        else:
            low = left
    return 2 / (low + high)


def calibration_error(confidence: Floats, right: Bools) -> float:
    """Expected calibration error: |confidence - share of right answers| of ten equal bins, weighted by their sizes."""
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = [abs(confidence[bins == each].sum() - right[bins == each].sum()) for each in range(_BINS)]
    return float(sum(gaps) / len(confidence))


def judge(fast: Floats, slow: Floats, classes: Ints, temperature: float) -> Judged:
    """Both models' probabilities [n, k] of pictures of known class [n]."""
    sure = calibrated(fast, temperature)
    return Judged(sure.max(axis=1), fast.argmax(axis=1) == classes, slow.argmax(axis=1) == classes)


def at(judged: Judged, threshold: float) -> Point:
    """What a cascade with this threshold does. With 1 the slow model is asked for every picture, with 0 for none."""
    asked = (judged.confidence < threshold) | (threshold >= 1)
    right = np.where(asked, judged.slow_right, judged.fast_right)
    return Point(threshold, float(asked.mean()), float(right.mean()))


def choose(judged: Judged, thresholds: Iterable[float], loss: float) -> Point:
    """Of the cascades at most `loss` less accurate than the slow model alone, the one that asks it least."""
    least = at(judged, 1.0).accuracy - loss
    points = [*(at(judged, threshold) for threshold in thresholds), at(judged, 1.0)]
    return min((point for point in points if point.accuracy >= least), key=lambda point: point.asked)
