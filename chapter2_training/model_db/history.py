"""One model's versions and its log as pages show them, read from the database, the latest first."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, func, select, tuple_
from sqlalchemy.orm import Session

from .tables import Experiment, Model, Promotion, Version


def count_versions(session: Session, model: Model) -> int:
    """How many there are."""
    return session.scalar(select(func.count()).where(Version.model_id == model.id)) or 0


def versions(session: Session, model: Model, after: Version | None, limit: int) -> Sequence[Version]:
    """The latest first; those that were registered before `after`."""
    order = tuple_(Version.created_at, Version.id)
    chosen = select(Version).where(Version.model_id == model.id)
    if after:
        chosen = chosen.where(order < (after.created_at, after.id))
    return session.scalars(chosen.order_by(Version.created_at.desc(), Version.id.desc()).limit(limit)).all()


def promotions(
    session: Session, limit: int, *, of: ColumnElement[bool] | None = None, before: int | None = None
) -> Sequence[Promotion]:
    """The log, the latest first: lines for which `of` holds, before the one of that sequence."""
    chosen = select(Promotion).order_by(Promotion.sequence.desc()).limit(limit)
    if of is not None:
        chosen = chosen.where(of)
    if before is not None:
        chosen = chosen.where(Promotion.sequence < before)
    return session.scalars(chosen).all()


def experiments(session: Session, version: Version, limit: int) -> Sequence[Experiment]:
    """The latest that name the version."""
    chosen = select(Experiment).where(Experiment.model_version_id == version.id)
    return session.scalars(chosen.order_by(Experiment.created_at.desc()).limit(limit)).all()
