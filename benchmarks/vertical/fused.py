"""The other side of the comparison: the pattern's chain, its three stages plain calls in the same process."""

from collections.abc import Callable
from typing import Any

from chapter4_serving_patterns.vertical_microservice_pattern import outlier, prediction
from chapter4_serving_patterns.vertical_microservice_pattern.app import add_predictions, make_chain
from chapter4_serving_patterns.vertical_microservice_pattern.chain import Ask, Stage
from chapter4_serving_patterns.vertical_microservice_pattern.interface import DecisionFinding, Finding, Question
from chapter4_serving_patterns.vertical_microservice_pattern.rules import decide
from chapter4_serving_patterns.vertical_microservice_pattern.settings import Settings
from mlsys.app import Service
from mlsys.model import Model


def create_app() -> Service:
    """The routes that predict."""
    settings = Settings()
    judge = outlier.judge_by(Model.load(settings.outlier_model_path), settings.outlier_below)
    classify = prediction.classify_by(Model.load(settings.model_path))

    def by_rules(question: Question) -> DecisionFinding:
        return DecisionFinding(decide(settings.rules, question.so_far["prediction"]))

    calls = {"outlier": _awaited(judge), "prediction": _awaited(classify), "decision": _awaited(by_rules)}
    stages = [Stage(name, ask, cap_s=1.0, reserve_s=0.1) for name, ask in calls.items()]
    service = Service(title="fused", description="", settings=settings)
    add_predictions(service, make_chain(service, stages, settings), list(calls))
    return service


def _awaited(call: Callable[[Question], Finding[Any]]) -> Ask:
    async def ask(question: Question, _: float) -> Finding[Any]:
        return call(question)

    return ask
