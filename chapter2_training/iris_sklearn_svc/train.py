"""Iris species by support-vector machines, with probabilities.

One machine for each species gives the distance to its boundary against the others; a sigmoid for each, fitted on
distances of flowers that the machine had not seen, turns it into a probability (Platt, 1999). Scaling comes first: the
kernel measures distances, so that a feature in larger numbers would count more.

One SVC for all three species lets its pairwise machines vote, and the probabilities jump where a vote turns: by 0.8
between flowers that differ by a rounding error. One machine for each species has no votes.
"""

from sklearn.calibration import CalibratedClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mlsys import train
from mlsys.project import Project


def estimator() -> Pipeline:
    """Scaler, then machines that learn from all training flowers; the five folds serve only to fit the sigmoids."""
    machines = OneVsRestClassifier(SVC())
    return make_pipeline(StandardScaler(), CalibratedClassifierCV(machines, method="sigmoid", ensemble=False, cv=5))


PROJECTS = (Project(name="iris_svc", trainer=__name__, estimator=estimator),)

if __name__ == "__main__":
    train.study("iris_svc", train.parser(__doc__).parse_args())
