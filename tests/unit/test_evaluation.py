"""The figures are the ones that their names and sources say, on cases small enough to work out by hand."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier

from mlsys import dataset, evaluation
from mlsys.dataset import Floats, Ints


class Known:
    """A classifier of two classes whose probability of class 0 is its input's one column."""

    def predict_proba(self, values: Floats) -> Floats:
        return np.hstack([values, 1 - values])

    def predict(self, values: Floats) -> Ints:
        found: Ints = self.predict_proba(values).argmax(axis=1)
        return found


VALUES = np.array([[0.9], [0.8], [0.6], [0.3]])
CLASSES = np.array([0, 0, 1, 1])


def test_accuracy_precision_and_recall_are_counted_by_class() -> None:
    metrics = evaluation.classifier(Known(), VALUES, CLASSES, ("yes", "no"))
    assert metrics["accuracy"] == 0.75
    assert (metrics["precision_yes"], metrics["recall_yes"]) == (0.666667, 1.0)
    assert (metrics["precision_no"], metrics["recall_no"]) == (1.0, 0.5)


def test_brier_and_log_loss_are_means_over_the_flowers() -> None:
    metrics = evaluation.classifier(Known(), VALUES, CLASSES, ("yes", "no"))
    assert metrics["brier"] == pytest.approx(2 * (0.1**2 + 0.2**2 + 0.6**2 + 0.3**2) / 4)
    assert metrics["log_loss"] == pytest.approx(-np.log([0.9, 0.8, 0.4, 0.7]).mean(), abs=1e-6)


def test_the_calibration_error_is_the_mean_gap_between_confidence_and_accuracy() -> None:
    # Bins by confidence: 0.6 (wrong), 0.7 (right), 0.8 (right), 0.9 (right), one flower in each.
    probabilities = Known().predict_proba(VALUES)
    assert evaluation.calibration_error(probabilities, CLASSES) == pytest.approx((0.6 + 0.3 + 0.2 + 0.1) / 4)


def test_a_model_that_is_sure_and_right_has_no_calibration_error() -> None:
    assert evaluation.calibration_error(np.eye(3), np.arange(3)) == 0.0


def test_the_interval_is_students_with_the_correction_for_shared_training_data() -> None:
    scores = np.array([0.8, 0.9, 1.0, 0.9, 0.9, 1.0, 0.8, 0.9, 1.0, 0.8])
    assert evaluation.interval(scores) == pytest.approx(
        2.262157 * scores.std(ddof=1) * np.sqrt(1 / 10 + 1 / 9), rel=1e-6
    )


def test_cross_validation_of_a_guesser_finds_a_third_and_an_interval_within_0_and_1() -> None:
    flowers = dataset.load()
    found = evaluation.cross_validate(DummyClassifier(strategy="most_frequent"), flowers, flowers.species, seed=0)
    assert found == {"cv_mean": 0.333333, "cv_low": 0.333333, "cv_high": 0.333333}


class Threshold:
    """An outlier detector: a point is inside where its one value is positive."""

    def decision_function(self, values: Floats) -> Floats:
        return values[:, 0]

    def predict(self, values: Floats) -> Ints:
        return np.where(values[:, 0] > 0, 1, -1)


def test_a_detector_is_judged_on_flowers_and_on_points_around_them() -> None:
    flowers, points = np.array([[2.0], [1.0], [-1.0], [3.0]]), np.array([[-2.0], [0.5]])
    found = evaluation.detector(Threshold(), flowers, points)
    assert found == {"inlier_rate": 0.75, "outlier_rate_surroundings": 0.5, "auc_surroundings": 0.875}
