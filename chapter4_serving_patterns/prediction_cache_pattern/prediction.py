"""What is kept of a prediction (41 bytes) and of a refusal, and what is made of them again."""

import struct
from typing import NamedTuple

import msgspec

from mlsys.cifar10 import LABELS
from mlsys.errors import ErrorCode, InvalidInput, PayloadTooLarge, ServiceError, UnsupportedMediaType

from .cache import Outcome

REFUSALS: tuple[type[ServiceError], ...] = (InvalidInput, PayloadTooLarge, UnsupportedMediaType)
"""What a picture itself is to blame for. A model server that is away is no property of a picture."""
_FORM = struct.Struct(f"<B{len(LABELS)}f")
_BY_CODE = {kind.code: kind for kind in REFUSALS}


class Prediction(NamedTuple):
    """Probabilities [10] of LABELS, and the one that the model decides for."""

    probabilities: list[float]
    label: str


class _Refusal(msgspec.Struct, array_like=True):
    code: ErrorCode
    message: str


def keep(prediction: Prediction) -> Outcome:
    """A prediction, to be kept."""
    return Outcome(_FORM.pack(LABELS.index(prediction.label), *prediction.probabilities))


def keep_refusal(error: ServiceError) -> Outcome:
    """One of REFUSALS, to be kept."""
    return Outcome(msgspec.msgpack.encode(_Refusal(error.code, error.message)), refused=True)


def restore(outcome: Outcome) -> Prediction:
    """The prediction. Raises: the refusal, if it is one."""
    if outcome.refused:
        refusal = msgspec.msgpack.decode(outcome.content, type=_Refusal)
        raise _BY_CODE[refusal.code](refusal.message)
    label, *probabilities = _FORM.unpack(outcome.content)
    return Prediction(probabilities, LABELS[label])
