"""The Iris schema: what a flower is, on the wire and in an array."""

from typing import Annotated

import msgspec
import numpy as np
from typing_extensions import TypedDict

LABELS = ("setosa", "versicolor", "virginica")
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
"""Centimetres, in this order."""
SAMPLE = [[5.1, 3.5, 1.4, 0.2]]
"""The first flower of the data set, a setosa."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)  # a number beyond it would reach the model as infinity
Number = Annotated[float, msgspec.Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]
Row = Annotated[list[Number], msgspec.Meta(min_length=len(FEATURES), max_length=len(FEATURES))]


class Flower(msgspec.Struct, forbid_unknown_fields=True):
    """One flower: `data` is one row of sepal length, sepal width, petal length, petal width in centimetres."""

    data: Annotated[list[Row], msgspec.Meta(min_length=1, max_length=1, examples=[SAMPLE])]


class Probabilities(TypedDict):
    """Probabilities of setosa, versicolor and virginica, in this order."""

    prediction: Annotated[list[float], msgspec.Meta(examples=[[0.97, 0.02, 0.01]])]


class Label(TypedDict):
    """Name of the most probable class."""

    prediction: Annotated[str, msgspec.Meta(examples=["setosa"])]
