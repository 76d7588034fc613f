"""One Iris species against the rest, by a support-vector machine: three small models where one would do.

Each answers one question, "is it this species?", with [p, 1 - p]. The three are trained, served and replaced on their
own, and nothing makes their answers to one flower add up to 1.
"""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlsys import train
from mlsys.dataset import Ints
from mlsys.iris import LABELS
from mlsys.project import Project


def estimator() -> Pipeline:
    """Scaler, then one machine and one sigmoid. Versicolor lies between the others, so its boundary must bend."""
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(SVC(), method="sigmoid", ensemble=False, cv=5))


def project(species: str) -> Project:
    """The model that tells `species` (class 0) from the others (class 1)."""

    def target(flowers: Ints) -> Ints:
        return np.not_equal(flowers, LABELS.index(species)).astype(np.int64)

    return Project(
        name=f"iris_binary_{species}",
        trainer=__name__,
        estimator=estimator,
        labels=(species, "other"),
        target=target,
        parameters={"target_iris": species},
    )


PROJECTS = tuple(project(species) for species in LABELS)

if __name__ == "__main__":
    options = train.parser(__doc__)
    options.add_argument("--target_iris", choices=LABELS, default="virginica", help="the species to tell from others")
    arguments = options.parse_args()
    train.study(f"iris_binary_{arguments.target_iris}", arguments)
