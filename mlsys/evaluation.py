"""How good a fitted model is: figures of the test part and of cross-validation, rounded to six digits."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit
from sklearn.metrics import brier_score_loss, log_loss, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_score

from .dataset import Floats, Flowers, Ints

Estimator = Any
"""A scikit-learn estimator or pipeline; the library ships no types."""
FOLDS = 10


def classifier(model: Estimator, values: Floats, classes: Ints, labels: tuple[str, ...]) -> dict[str, float]:
    """Accuracy, precision and recall of each class, and, if the model gives probabilities, their quality.

    values: [n, features]; classes: [n], indices into `labels`.
    """
    found = model.predict(values)
    indices = np.arange(len(labels))
    precision, recall, _, _ = precision_recall_fscore_support(classes, found, labels=indices, zero_division=0.0)
    metrics = {"accuracy": float(np.mean(found == classes))}
    metrics |= {f"precision_{label}": float(value) for label, value in zip(labels, precision, strict=True)}
    metrics |= {f"recall_{label}": float(value) for label, value in zip(labels, recall, strict=True)}
    if hasattr(model, "predict_proba"):
        probabilities = model.predict_proba(values)
        metrics["log_loss"] = float(log_loss(classes, probabilities, labels=indices))
        metrics["brier"] = float(brier_score_loss(classes, probabilities, labels=indices, scale_by_half=False))
        metrics["expected_calibration_error"] = calibration_error(probabilities, classes)
    return rounded(metrics)


def detector(model: Estimator, test: Floats, surroundings: Floats) -> dict[str, float]:
    """Shares of test flowers [n, features] taken as inliers and of points around the data [m, features] as outliers.

    auc: chance that a test flower scores above such a point. The points are no real outliers: some lie among flowers.
    """
    real = np.r_[np.ones(len(test)), np.zeros(len(surroundings))]
    scores = np.r_[model.decision_function(test), model.decision_function(surroundings)]
    return rounded(
        {
            "inlier_rate": float(np.mean(model.predict(test) == 1)),
            "outlier_rate_surroundings": float(np.mean(model.predict(surroundings) == -1)),
            "auc_surroundings": float(roc_auc_score(real, scores)),
        }
    )


def calibration_error(probabilities: Floats, classes: Ints, bins: int = 10) -> float:
    """Expected calibration error: the gap between confidence and accuracy, averaged over bins of confidence.

    probabilities: [n, k]; classes: [n]. Source: Guo et al., On Calibration of Modern Neural Networks, 2017, equation 3.
    """
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == classes
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [abs(right[bin_of == b].sum() - confidence[bin_of == b].sum()) for b in range(bins)]
    return float(sum(gaps) / len(classes))


def cross_validate(estimator: Estimator, train: Flowers, target: Ints, *, seed: int) -> dict[str, float]:
    """Mean score of ten stratified folds of the training part, and its 95 % interval: cv_mean, cv_low, cv_high.

    The score is accuracy; for an outlier detector the share taken as inliers.
    """
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    parts = list(folds.split(train.values, train.species))  # by species, also where the classes are others
    scores = cross_val_score(estimator, train.values, target, cv=parts, scoring=_right)
    mean, half = float(scores.mean()), interval(scores)
    return rounded({"cv_mean": mean, "cv_low": max(0.0, mean - half), "cv_high": min(1.0, mean + half)})


def interval(scores: NDArray[np.float64]) -> float:
    """Half the width of the 95 % interval of the mean of the scores [k] of k folds.

    The folds share training data, so that the variance is corrected by 1/k + n_test/n_train.
    Source: Nadeau and Bengio, Inference for the Generalization Error, 2003, section 3.
    """
    k = len(scores)
    return float(stdtrit(k - 1, 0.975) * scores.std(ddof=1) * np.sqrt(1 / k + 1 / (k - 1)))


def rounded(metrics: dict[str, float]) -> dict[str, float]:
    """The figures to six digits: a person reads them, and they are part of the model file's bytes."""
    return {name: round(value, 6) for name, value in metrics.items()}


def _right(model: Estimator, values: Floats, target: Ints) -> float:
    return float(np.mean(model.predict(values) == target))
