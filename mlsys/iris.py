"""The Iris schema: what a flower is, on the wire and in an array."""

from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from .errors import InvalidInput, InvalidJson

LABELS = ("setosa", "versicolor", "virginica")
FEATURES = ("sepal_length", "sepal_width", "petal_length", "petal_width")
"""Centimetres, in this order."""
SAMPLE = [[5.1, 3.5, 1.4, 0.2]]
"""The first flower of the data set, a setosa."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)  # beyond it a number that JSON can say is infinite for the model
Number = Annotated[float, msgspec.Meta(ge=-_FLOAT32_MAX, le=_FLOAT32_MAX)]
