"""Lists of projects and models as pages show them: a bounded number of rows in a bounded number of queries."""

import uuid
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from .answers import CHAMPION
from .tables import Model, Project, Promotion, Version

PER_PROJECT = 10
"""Models of a project that are named where several projects are."""


class ModelLine(NamedTuple):
    """A model in a list: how many versions it has, when the latest came, and its champion (None: it has none)."""

    id: uuid.UUID
    name: str
    versions: int
    latest: datetime | None
    champion: Version | None


class ProjectLine(NamedTuple):
    """A project in a list, with its first models and the number of all."""

    name: str
    description: str
    models: list[ModelLine]
    total: int


def projects(session: Session, name: str, after: str, limit: int) -> list[ProjectLine]:
    """Projects whose name contains `name` and comes behind `after`, by name."""
    found = session.scalars(
        select(Project)
        .where(Project.name.icontains(name, autoescape=True), Project.name > after)
        .order_by(Project.name)
        .limit(limit)
    ).all()
    place = func.row_number().over(partition_by=Model.project_id, order_by=Model.name).label("place")
    total = func.count().over(partition_by=Model.project_id).label("total")
    among = Model.project_id.in_([project.id for project in found])
    placed = select(Model.id, Model.project_id, Model.name, place, total).where(among).subquery()
    rows = session.execute(select(placed).where(placed.c.place <= PER_PROJECT).order_by(placed.c.place)).all()
    lines = {line.id: line for line in _lines(session, Model.id.in_([row.id for row in rows]))}
    totals = {row.project_id: row.total for row in rows}
    return [
        ProjectLine(
            project.name,
            project.description,
            [lines[row.id] for row in rows if row.project_id == project.id],
            totals.get(project.id, 0),
        )
        for project in found
    ]


def models(session: Session, project: Project, after: str, limit: int) -> list[ModelLine]:
    """The models of the project behind the name `after`, by name."""
    return _lines(session, (Model.project_id == project.id) & (Model.name > after), limit)


def model_names(session: Session, ids: set[uuid.UUID]) -> dict[str, str]:
    """Name by id (as text)."""
    rows = session.execute(select(Model.id, Model.name).where(Model.id.in_(ids)))
    return {str(row.id): row.name for row in rows}


def _lines(session: Session, which: ColumnElement[bool], limit: int | None = None) -> list[ModelLine]:
    """The models for which `which` holds, by name."""
    # For each model one look into an index, however long the log and the list of versions are.
    of_model = (Promotion.model_id == Model.id) & (Promotion.alias == CHAMPION)
    last = select(Promotion.to_version_id).where(of_model).order_by(Promotion.number.desc()).limit(1)
    held = last.correlate(Model).scalar_subquery()
    its_versions = select(func.count(Version.id)).where(Version.model_id == Model.id).correlate(Model).scalar_subquery()
    latest = select(func.max(Version.created_at)).where(Version.model_id == Model.id).correlate(Model).scalar_subquery()
    rows = session.execute(
        select(Model.id, Model.name, its_versions.label("versions"), latest.label("latest"), held.label("held"))
        .where(which)
        .order_by(Model.name)
        .limit(limit)
    ).all()
    holders = session.scalars(select(Version).where(Version.id.in_([row.held for row in rows if row.held])))
    by_id = {holder.id: holder for holder in holders}
    return [ModelLine(row.id, row.name, row.versions, row.latest, by_id.get(row.held)) for row in rows]
