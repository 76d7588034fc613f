"""The JSON objects that the registry answers."""

from typing import Any

from typing_extensions import TypedDict

from .signature import Tensor, Verdict


class ProjectAnswer(TypedDict):
    """A project."""

    project_id: str
    project_name: str
    description: str
    created_datetime: str


class ModelAnswer(TypedDict):
    """A model."""

    model_id: str
    project_id: str
    model_name: str
    description: str
    created_datetime: str


class ExperimentAnswer(TypedDict):
    """A training run."""

    experiment_id: str
    model_id: str
    model_version_id: str | None
    parameters: dict[str, Any]
    training_dataset: str | None
    validation_dataset: str | None
    test_dataset: str | None
    evaluations: dict[str, Any]
    artifact_file_paths: dict[str, Any]
    created_datetime: str


class CompatibilityAnswer(TypedDict):
    """What the version would change for the callers of the present champion."""

    verdict: Verdict
    changes: list[str]


class VersionAnswer(TypedDict):
    """A version. `compatibility` is null while the model has no champion, `labels` where the file names none."""

    id: str
    model_id: str
    model_name: str
    name: str
    sha256: str
    size_bytes: int
    inputs: list[Tensor]
    outputs: list[Tensor]
    labels: list[str] | None
    data_sha256: str | None
    code_revision: str | None
    parameters: dict[str, Any]
    metrics: dict[str, float]
    parent_id: str | None
    created_at: str
    aliases: list[str]
    compatibility: CompatibilityAnswer | None


class FindingAnswer(TypedDict):
    """One thing that the gate looked at."""

    check: str
    passed: bool
    says: str


class PromotionAnswer(TypedDict):
    """A line of the log. `from_version` and `to_version` are the names."""

    id: str
    model_id: str
    alias: str
    number: int
    kind: str
    from_version_id: str | None
    from_version: str | None
    to_version_id: str | None
    to_version: str | None
    who: str
    why: str
    at: str
    findings: list[FindingAnswer]
    override_reason: str | None


class ComparisonAnswer(TypedDict):
    """Two versions. `metrics` and `parameters` hold what differs, as [left, right]; null where one has none."""

    left: VersionAnswer
    right: VersionAnswer
    compatibility: CompatibilityAnswer
    metrics: dict[str, list[float | None]]
    parameters: dict[str, list[Any]]


class RuleAnswer(TypedDict):
    """A rule of the gate; null: not asked."""

    metric: str
    at_least: float | None
    at_most: float | None
    may_lose: float | None
    higher_is_better: bool


class GateAnswer(TypedDict):
    """What a version must pass to be given one of these aliases."""

    aliases: list[str]
    rules: list[RuleAnswer]
    refuse_breaking_signature: bool
