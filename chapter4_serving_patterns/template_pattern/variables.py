"""What a new service is told about its model: read from the model file, so that no label file can disagree with it."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from mlsys import iris
from mlsys.errors import StartupError
from mlsys.model import Model

TYPES = {"FP32": "float32"}
"""NumPy's names of the datatypes that the template knows how to take."""
BOOK = ("data_type", "data_structure", "data_sample", "prediction_type", "prediction_structure", "prediction_sample")
_LARGEST = float(np.finfo(np.float32).max)


class Contradiction(StartupError):
    """What was asked for cannot be made of this model."""


@dataclass(frozen=True)
class Variables:
    """The book's variables, and the model's feature and class names. Samples are JSON; `(1,4)` is one row of four.

    values: what the model answers beside the label, `probabilities` or `scores`; outputs: how many of them.
    """

    model: str
    data_type: str
    data_structure: str
    data_sample: str
    prediction_type: str
    prediction_structure: str
    prediction_sample: str
    label_sample: str
    values: str
    outputs: int
    features: list[str]
    labels: list[str]

    @property
    def is_iris(self) -> bool:
        """Whether mlsys.iris says all that is said here, so that the service needs no schema of its own."""
        here = (self.features, self.labels, self.values, json.loads(self.data_sample))
        return here == (list(iris.FEATURES), list(iris.LABELS), "probabilities", iris.SAMPLE)

    def answers(self) -> dict[str, object]:
        """The variables as Copier takes them."""
        return asdict(self)


def of(name: str, path: Path, given: dict[str, str]) -> Variables:
    """The variables of a model file; `given` are those of `BOOK` that a person wrote, which must agree with it.

    Raises: Contradiction, ModelError.
    """
    model = Model.load(path)
    about = model.metadata
    taken, answered = about.inputs[0], about.outputs[1]
    if taken.datatype not in TYPES or len(taken.shape) != 2 or not about.features:
        raise Contradiction(
            f"The model {name} takes {taken.datatype} {taken.shape}, and this template makes services of rows of "
            "float32 numbers: for pictures, start from chapter4_serving_patterns/synchronous_pattern."
        )
    width, height = len(about.features), answered.shape[-1]
    sample = _sample(given, about.sample[0], width)
    batch = np.array([sample], dtype=np.float32)
    found = Variables(
        model=name,
        data_type=TYPES[taken.datatype],
        data_structure=f"(1,{width})",
        data_sample=json.dumps([sample]),
        prediction_type=TYPES[answered.datatype],
        prediction_structure=f"(1,{height})",
        prediction_sample=json.dumps(_answer(given, model.predict(batch)[0].tolist())),
        label_sample=model.classify(batch)[0],
        values=answered.name,
        outputs=height,
        features=about.features,
        labels=about.labels,
    )
    for variable in [field.name for field in fields(found) if field.name in given and "sample" not in field.name]:
        written, real = given[variable].replace(" ", ""), getattr(found, variable)
        if written != real:
            raise Contradiction(f"{variable}={given[variable]} contradicts the model {name}, whose is {real}.")
    return found


def _sample(given: dict[str, str], own: list[float], width: int) -> list[float]:
    """The one row to show and to test with."""
    if "data_sample" not in given:
        return own
    rows = _numbers("data_sample", given["data_sample"])
    if len(rows) != 1 or not isinstance(rows[0], list):
        raise Contradiction(f"data_sample={given['data_sample']} is not a batch of one: write [[1.0, 2.0, …]].")
    return _vector("data_sample", given["data_sample"], rows[0], width)


def _answer(given: dict[str, str], own: list[float]) -> list[float]:
    """The answer that the description shows: what is written, or the model's own to two digits."""
    if "prediction_sample" not in given:
        return [float(f"{value:.2f}") for value in own]
    text = given["prediction_sample"]
    return _vector("prediction_sample", text, _numbers("prediction_sample", text), len(own))


def _numbers(variable: str, text: str) -> list[object]:
    try:
        numbers = json.loads(text, parse_int=float)  # 10^400 is an infinity then, and refused
    except ValueError:
        numbers = None
    if not isinstance(numbers, list):
        raise Contradiction(f"{variable}={text} is not a list of numbers in JSON.")
    return numbers


def _vector(variable: str, text: str, numbers: list[object], length: int) -> list[float]:
    found = [float(n) for n in numbers if isinstance(n, int | float) and not isinstance(n, bool)]
    if len(found) != len(numbers) or len(found) != length or not max(map(abs, found)) <= _LARGEST:
        raise Contradiction(
            f"{variable}={text} contradicts the model, which has {length} finite float32 numbers there."
        )
    return found
