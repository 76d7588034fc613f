"""Stages in this process, on the real models, in place of services; and stages that do as they are told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlsys.model import Model

from .. import outlier, prediction
from ..chain import Ask, Stage
from ..interface import Finding, Prediction, Question
from ..rules import decide
from ..settings import Settings


def local(settings: Settings) -> list[Stage]:
    """The three stages as plain calls."""
    judge = outlier.judge_by(Model.load(settings.outlier_model_path), settings.outlier_below)
    classify = prediction.classify_by(Model.load(settings.model_path))

    def by_rules(question: Question) -> Finding[Any]:
        known = question.so_far["prediction"]
        assert isinstance(known, Prediction)
        return Finding(decide(settings.rules, known))

    calls: dict[str, Callable[[Question], Finding[Any]]] = {
        "outlier": judge,
        "prediction": classify,
        "decision": by_rules,
    }
    return [Stage(name, awaited(call), cap_s=1.0, reserve_s=0.1) for name, call in calls.items()]


def awaited(call: Callable[[Question], Finding[Any]]) -> Ask:
    """A plain call as a stage is asked."""

    async def ask(question: Question, budget_s: float) -> Finding[Any]:
        return call(question)

    return ask


def paths(models: Path) -> dict[str, Any]:
    """The settings that name the models of a folder."""
    return {
        "model_path": models / "iris_svc" / "model.onnx",
        "outlier_model_path": models / "iris_outlier" / "model.onnx",
    }
