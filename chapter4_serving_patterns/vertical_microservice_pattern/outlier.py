"""The stage `outlier`: is the flower like those that the models were trained on? If not, the chain ends here."""

from collections.abc import Callable

import numpy as np

from mlsys import iris
from mlsys.app import Service
from mlsys.model import Model

from .interface import Declared, Outlier, OutlierFinding, Question
from .settings import Settings
from .stage import about, create_stage


def create_app(settings: Settings | None = None) -> Service:
    """The service, with its model loaded. Raises: SettingsError, ModelError."""
    settings = settings or Settings()
    model = Model.load(settings.outlier_model_path, threads=settings.model_threads)
    judge = judge_by(model, settings.outlier_below)
    service = create_stage(Declared("outlier", model=about(model)), settings, model)

    @service.fast_post("/stage")
    async def stage(question: Question) -> OutlierFinding:
        """Score of one flower, and an end of the chain if it is an outlier."""
        return judge(question)

    return service


def judge_by(model: Model, below: float) -> Callable[[Question], OutlierFinding]:
    """What the stage does, as a plain call. Raises: ModelError if the model is for something else."""
    model.require(features=iris.FEATURES, labels=("inlier", "outlier"))

    def judge(question: Question) -> OutlierFinding:
        score = float(model.predict(np.array(question.data, dtype=np.float32)).ravel()[0])
        is_outlier = score < below
        return OutlierFinding(Outlier(score=score, outlier=is_outlier), "outlier" if is_outlier else None)

    return judge
