"""What each page shows: the facts that its template names."""

import uuid
from typing import Any
from urllib.parse import quote, urlencode

from sqlalchemy.orm import Session

from mlsys.errors import NotFound

from . import answers, gate, history, overview, promotions, records
from . import comparison as side_by_side
from .answers import CHAMPION
from .signature import compare
from .tables import Model, Project, Promotion, Version

LIMIT = 50
"""Rows of a list on one page, and versions in a plot."""
LOG_LIMIT = 20
Facts = dict[str, Any]


def following(path: str, **parameters: object) -> str:
    """The address of another page of a list."""
    given = {name: str(value) for name, value in parameters.items() if value}
    return f"{path}?{urlencode(given)}" if given else path


def version_of(session: Session, version_id: str) -> Version:
    """The version of the id. Raises: NotFound, also if it is no id."""
    try:
        return records.get(session, Version, uuid.UUID(version_id))
    except ValueError:
        raise NotFound(f"{version_id[:100]!r} is no version's id.") from None


def project(session: Session, project: Project, after: str) -> Facts:
    """A project and its models behind the name `after`."""
    path, models = f"/projects/{quote(project.name)}", overview.models(session, project, after, LIMIT + 1)
    return {
        "project": project,
        "models": models[:LIMIT],
        "first": path if after else None,
        "following": following(path, after=models[LIMIT - 1].name) if models[LIMIT:] else None,
    }


def version(session: Session, version: Version) -> Facts:
    """A version: where it comes from, what it takes and gives, and its part of the log."""
    model, parent = records.get(session, Model, version.model_id), version.parent_id
    present = promotions.last(session, model.id, CHAMPION)
    of_version = (Promotion.to_version_id == version.id) | (Promotion.from_version_id == version.id)
    log = history.promotions(session, LOG_LIMIT, of=(Promotion.model_id == model.id) & of_version)
    return {
        "version": answers.versions(session, [version])[0],
        "project_name": records.get(session, Project, model.project_id).name,
        "parent": records.get(session, Version, parent) if parent else None,
        "champion": present and present.to_version_id and records.get(session, Version, present.to_version_id),
        "experiments": history.experiments(session, version, LOG_LIMIT),
        "promotions": answers.promotions(session, log),
    }


def comparison(session: Session, left: Version, right: Version) -> Facts:
    """Two versions, side by side."""
    signature = compare(records.signature_of(left), records.signature_of(right))
    rules = gate.decode(records.get(session, Model, left.model_id).gate).rules
    a, b = (answers.versions(session, [side])[0] for side in (left, right))
    return {
        "left": a,
        "right": b,
        "signature": signature,
        "metrics": side_by_side.metrics(
            a["metrics"], b["metrics"], {rule.metric: rule.higher_is_better for rule in rules}
        ),
        "parameters": side_by_side.facts(a["parameters"], b["parameters"]),
        "origin": side_by_side.origin(a, b),
    }
