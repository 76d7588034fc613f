"""The examples of the OpenAPI document: one model, its first version, and how it became champion."""

from typing import Any

from .shapes import (
    ComparisonAnswer,
    ExperimentAnswer,
    GateAnswer,
    ModelAnswer,
    ProjectAnswer,
    PromotionAnswer,
    VersionAnswer,
)

PROJECT_ID = "5b0f1a3e-5d0c-4c8e-9a57-0c6a2f1f7a01"
MODEL_ID = "0a5f6f0e-3a0b-4f62-8a2f-3f1d2f3c4b02"
VERSION_ID = "c1d8f2f4-6f7e-4d0f-b0a5-7f7f0f1e2d03"
EXPERIMENT_ID = "7e3c1b2a-9f4d-4e8a-a1c6-2d5b8f9e0a04"
PROMOTION_ID = "f2a4c6e8-1b3d-4f5a-8c7e-9d0b2a4c6e05"
SHA256 = "1f" * 32
NOW = "2026-11-21T12:00:00+00:00"
WHO_WHY = {"who": "ann", "why": "better on the new flowers"}

PROJECT = ProjectAnswer(
    project_id=PROJECT_ID, project_name="iris", description="Tell Iris species apart.", created_datetime=NOW
)
MODEL = ModelAnswer(
    model_id=MODEL_ID,
    project_id=PROJECT_ID,
    model_name="iris_svc",
    description="A support vector machine.",
    created_datetime=NOW,
)
EXPERIMENT = ExperimentAnswer(
    experiment_id=EXPERIMENT_ID,
    model_id=MODEL_ID,
    model_version_id=None,
    parameters={"test_size": 0.3},
    training_dataset="iris.2/train",
    validation_dataset=None,
    test_dataset="iris.2/test",
    evaluations={"accuracy": 0.96},
    artifact_file_paths={"model": "models/iris_svc/model.onnx"},
    created_datetime=NOW,
)
VERSION = VersionAnswer(
    id=VERSION_ID,
    model_id=MODEL_ID,
    model_name="iris_svc",
    name="1.0.0-iris.2",
    sha256=SHA256,
    size_bytes=4096,
    inputs=[{"name": "input", "datatype": "FP32", "shape": [-1, 4]}],
    outputs=[{"name": "label", "datatype": "INT64", "shape": [-1]}],
    labels=["setosa", "versicolor", "virginica"],
    data_sha256="2e" * 32,
    code_revision="0123abc",
    parameters={"test_size": 0.3},
    metrics={"accuracy": 0.96},
    parent_id=None,
    created_at=NOW,
    aliases=["champion"],
    compatibility={"verdict": "same", "changes": []},
)
PROMOTION = PromotionAnswer(
    id=PROMOTION_ID,
    model_id=MODEL_ID,
    alias="champion",
    number=1,
    kind="promote",
    from_version_id=None,
    from_version=None,
    to_version_id=VERSION_ID,
    to_version="1.0.0-iris.2",
    who="ann",
    why="better on the new flowers",
    at=NOW,
    findings=[
        {"check": "accuracy at least 0.9", "passed": True, "says": "accuracy of 1.0.0-iris.2 is 0.96, asked 0.9"}
    ],
    override_reason=None,
)
COMPARISON = ComparisonAnswer(
    left=VERSION,
    right=VERSION,
    compatibility={"verdict": "same", "changes": []},
    metrics={"accuracy": [0.96, 0.97]},
    parameters={},
)
GATE = GateAnswer(
    aliases=["champion"],
    rules=[{"metric": "accuracy", "at_least": 0.9, "at_most": None, "may_lose": 0.0, "higher_is_better": True}],
    refuse_breaking_signature=True,
)


def created(answer: object) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that makes something, with an example of its answer."""
    return {201: {"content": {"application/json": {"example": answer}}}}


def takes(body: object) -> dict[str, Any]:
    """The `openapi_extra` of a route, with an example of its body."""
    return {"requestBody": {"content": {"application/json": {"example": body}}}}
