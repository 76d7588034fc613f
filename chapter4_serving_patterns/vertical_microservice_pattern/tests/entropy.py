"""A stage that the pattern does not know: the uncertainty of the prediction, in bits."""

import math

from mlsys.app import Service

from ..decision import Predicted
from ..interface import Declared, Finding
from ..settings import Settings
from ..stage import create_stage


class Bits(Finding[dict[str, float]], frozen=True):
    """Of the stage `entropy`."""


def create_app() -> Service:
    """The service of the stage `entropy`."""
    service = create_stage(Declared("entropy", needs=["prediction"]), Settings())

    @service.fast_post("/stage")
    async def stage(question: Predicted) -> Bits:
        """Entropy of the probabilities; a flower of more than one bit ends the chain."""
        probabilities = question.so_far.prediction.probabilities
        bits = -sum(p * math.log2(p) for p in probabilities if p > 0)
        return Bits({"bits": bits}, "too_uncertain" if bits > 1 else None)

    return service
