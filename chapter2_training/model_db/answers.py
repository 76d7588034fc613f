"""What the registry answers: rows as JSON objects, with what is known of them elsewhere."""

import uuid
from collections.abc import Iterable, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from . import promotions as log
from .records import signature_of
from .shapes import ExperimentAnswer, ModelAnswer, ProjectAnswer, PromotionAnswer, VersionAnswer
from .signature import compare
from .tables import Experiment, Model, Project, Promotion, Version

CHAMPION = "champion"
"""The alias that a version's signature is compared with."""


def project(row: Project) -> ProjectAnswer:
    """The project as it is answered."""
    return {
        "project_id": str(row.id),
        "project_name": row.name,
        "description": row.description,
        "created_datetime": row.created_at.isoformat(),
    }


def model(row: Model) -> ModelAnswer:
    """The model as it is answered."""
    return {
        "model_id": str(row.id),
        "project_id": str(row.project_id),
        "model_name": row.name,
        "description": row.description,
        "created_datetime": row.created_at.isoformat(),
    }


def experiment(row: Experiment) -> ExperimentAnswer:
    """The experiment as it is answered."""
    return {
        "experiment_id": str(row.id),
        "model_id": str(row.model_id),
        "model_version_id": _text(row.model_version_id),
        "parameters": row.parameters,
        "training_dataset": row.training_dataset,
        "validation_dataset": row.validation_dataset,
        "test_dataset": row.test_dataset,
        "evaluations": row.evaluations,
        "artifact_file_paths": row.artifact_file_paths,
        "created_datetime": row.created_at.isoformat(),
    }


def versions(session: Session, rows: Sequence[Version]) -> list[VersionAnswer]:
    """The versions as they are answered, with their aliases, compared with the present champion of their model."""
    models = {row.id: row for row in session.scalars(select(Model).where(Model.id.in_({v.model_id for v in rows})))}
    aliases = {model_id: log.present(session, model_id) for model_id in models}
    champions = {
        model_id: session.get_one(Version, lines[CHAMPION].to_version_id)
        for model_id, lines in aliases.items()
        if CHAMPION in lines
    }
    return [_version(row, models[row.model_id], aliases[row.model_id], champions.get(row.model_id)) for row in rows]


def version(session: Session, row: Version) -> VersionAnswer:
    """One version as it is answered."""
    (answer,) = versions(session, [row])
    return answer


def promotions(session: Session, rows: Iterable[Promotion]) -> list[PromotionAnswer]:
    """The lines of the log as they are answered."""
    rows = list(rows)
    ids = {version_id for row in rows for version_id in (row.from_version_id, row.to_version_id)}
    named = session.execute(select(Version.id, Version.name).where(Version.id.in_(ids - {None})))
    names = {version_id: name for version_id, name in named}  # noqa: C416  # mypy takes no dict of rows
    return [_promotion(row, names) for row in rows]


def promotion(session: Session, row: Promotion) -> PromotionAnswer:
    """One line of the log as it is answered."""
    (answer,) = promotions(session, [row])
    return answer


def _version(row: Version, of: Model, aliases: dict[str, Promotion], champion: Version | None) -> VersionAnswer:
    compatibility = compare(signature_of(champion), signature_of(row)) if champion else None
    return {
        "id": str(row.id),
        "model_id": str(row.model_id),
        "model_name": of.name,
        "name": row.name,
        "sha256": row.sha256,
        "size_bytes": row.size_bytes,
        "inputs": row.inputs,
        "outputs": row.outputs,
        "labels": (row.document or {}).get("labels") or None,
        "data_sha256": row.data_sha256,
        "code_revision": row.code_revision,
        "parameters": row.parameters,
        "metrics": {name: float(value) for name, value in row.metrics.items()},  # JSONB gives 1e300 back as an integer
        "parent_id": _text(row.parent_id),
        "created_at": row.created_at.isoformat(),
        "aliases": sorted(alias for alias, line in aliases.items() if line.to_version_id == row.id),
        "compatibility": {"verdict": compatibility.verdict, "changes": compatibility.changes}
        if compatibility
        else None,
    }


def _promotion(row: Promotion, names: dict[uuid.UUID, str]) -> PromotionAnswer:
    return {
        "id": str(row.id),
        "model_id": str(row.model_id),
        "alias": row.alias,
        "number": row.number,
        "kind": row.kind,
        "from_version_id": _text(row.from_version_id),
        "from_version": names[row.from_version_id] if row.from_version_id else None,
        "to_version_id": _text(row.to_version_id),
        "to_version": names[row.to_version_id] if row.to_version_id else None,
        "who": row.who,
        "why": row.why,
        "at": row.at.isoformat(),
        "findings": row.findings,
        "override_reason": row.override_reason,
    }


def _text(row_id: uuid.UUID | None) -> str | None:
    return None if row_id is None else str(row_id)
