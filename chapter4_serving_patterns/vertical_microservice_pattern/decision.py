"""The stage `decision`: what to do about a prediction, by rules instead of a model."""

import msgspec

from mlsys import iris
from mlsys.app import Service

from .interface import DecisionFinding, Declared, Prediction
from .rules import decide
from .settings import Settings
from .stage import create_stage


class Known(msgspec.Struct):
    """What this stage must be told; what else is known may come along."""

    prediction: Prediction


class Predicted(iris.Flower, forbid_unknown_fields=True):
    """A flower of which the species is predicted."""

    so_far: Known


def create_app(settings: Settings | None = None) -> Service:
    """The service. Raises: SettingsError."""
    settings = settings or Settings()
    rules = settings.rules
    service = create_stage(Declared("decision", needs=["prediction"]), settings)

    @service.fast_post("/stage")
    async def stage(question: Predicted) -> DecisionFinding:
        """What the first rule says that holds."""
        return DecisionFinding(decide(rules, question.so_far.prediction))

    return service
