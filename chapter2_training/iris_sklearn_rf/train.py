"""Iris species by a random forest.

A hundred trees, each grown on its own sample of the flowers, vote with the shares of species in their leaves. A tree
compares one feature with one number at a time, so nothing needs scaling, and the boundaries are steps.
"""

from sklearn.ensemble import RandomForestClassifier

from mlsys import train
from mlsys.project import Project


def estimator() -> RandomForestClassifier:
    """The forest; its seed decides the samples and the features that each split may look at."""
    return RandomForestClassifier(n_estimators=100, random_state=0)


PROJECTS = (Project(name="iris_rf", trainer=__name__, estimator=estimator),)

if __name__ == "__main__":
    train.study("iris_rf", train.parser(__doc__).parse_args())
