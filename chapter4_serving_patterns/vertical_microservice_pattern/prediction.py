"""The stage `prediction`: which species? Any classifier of Iris flowers, by MODEL_PATH."""

from collections.abc import Callable
from typing import cast

import numpy as np

from mlsys import iris
from mlsys.app import Service
from mlsys.model import Model

from .interface import Declared, Prediction, PredictionFinding, Question, Species
from .settings import Settings
from .stage import about, create_stage


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = Model.load(settings.model_path, threads=settings.model_threads)
    classify = classify_by(model)
    service = create_stage(Declared("prediction", model=about(model)), settings, model)

    @service.fast_post("/stage")
    async def stage(question: Question) -> PredictionFinding:
        """Species of one flower, and the probabilities of all."""
        return classify(question)

    return service


def classify_by(model: Model) -> Callable[[Question], PredictionFinding]:
    """What the stage does, as a plain call. Raises: ModelError if the model is for something else."""
    model.require(features=iris.FEATURES, labels=iris.LABELS)
    taken, given = model.metadata.inputs[0].name, [output.name for output in model.metadata.outputs]

    def classify(question: Question) -> PredictionFinding:
        batch = np.array(question.data, dtype=np.float32)
        label, probabilities = model.network.run({taken: batch}, given)  # both of one inference
        return PredictionFinding(
            Prediction(label=cast("Species", iris.LABELS[label[0]]), probabilities=probabilities[0].tolist())
        )

    return classify
