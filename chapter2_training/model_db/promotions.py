"""The promotion log: what an alias names and named. Every write is one line more, under the model's lock.

A rollback goes back to the version that the alias named before the present one, and the next goes further back:
promoted 1, 2, 3, two rollbacks bring 2 and then 1. What was rolled back is not come back to: after the promotion of 4,
a rollback brings 1. An alias that was removed is brought back by a rollback. A rollback asks no gate.
"""

import uuid
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from mlsys.errors import NotFound, Refused

from . import gate, records
from .tables import Model, Promotion, Version


def last(session: Session, model_id: uuid.UUID, alias: str, at: datetime | None = None) -> Promotion | None:
    """The line of the log that is valid now, or was at the time `at`; None if there was none yet."""
    query = select(Promotion).where(Promotion.model_id == model_id, Promotion.alias == alias)
    if at is not None:
        query = query.where(Promotion.at <= at)
    return session.scalars(query.order_by(Promotion.number.desc()).limit(1)).first()


def present(session: Session, model_id: uuid.UUID) -> dict[str, Promotion]:
    """For each alias that names a version now: the line that says so."""
    newest = select(Promotion).where(Promotion.model_id == model_id).ext(distinct_on(Promotion.alias))
    lines = session.scalars(newest.order_by(Promotion.alias, Promotion.number.desc()))
    return {line.alias: line for line in lines if line.to_version_id}


def holder(session: Session, model: Model, alias: str, at: datetime | None = None) -> Version:
    """The version that the alias names now, or named at the time `at`. Raises: NotFound."""
    line = last(session, model.id, alias, at)
    if line is None or line.to_version_id is None:
        when = "names" if at is None else f"named, at {at.isoformat()},"
        raise NotFound(f"The alias {alias!r} of {model.name} {when} no version.")
    return records.get(session, Version, line.to_version_id)


def promote(
    session: Session, model_id: uuid.UUID, alias: str, reference: str, said: dict[str, str], override: str | None
) -> tuple[Promotion, bool]:
    """Let the alias name the version (a name or a uuid); said: `who` and `why`. True if that is new.

    Raises: NotFound, Refused with the reasons if the gate finds any and there is no `override` reason.
    """
    model = records.lock(session, model_id)
    version = records.find_version(session, model, reference)
    line = last(session, model_id, alias)
    if line and line.to_version_id == version.id:
        return line, False  # a caller that lost the answer asks again
    now = records.get(session, Version, line.to_version_id) if line and line.to_version_id else None
    findings = gate.judge(gate.decode(model.gate), alias, _candidate(version), _candidate(now) if now else None)
    against = gate.reasons(findings)
    if against and override is None:
        raise Refused(f"{version.name} may not become {alias} of {model.name}: {'; '.join(against)}.", details=against)
    back = (line.returns_to if now is None else line.number) if line else None
    if now is None and (removed := _numbered(session, model_id, alias, back)) and removed.to_version_id == version.id:
        back = removed.returns_to  # it comes back after its own removal, and is not what was there before it
    logged = msgspec.to_builtins(findings)
    overridden = override if against else None
    return _write(
        session,
        line,
        model_id=model_id,
        alias=alias,
        kind="promote",
        to_version_id=version.id,
        returns_to=back,
        findings=logged,
        override_reason=overridden,
        **said,
    ), True


def roll_back(session: Session, model_id: uuid.UUID, alias: str, said: dict[str, str]) -> Promotion:
    """Let the alias name what it named before. Raises: NotFound, Refused if there is no version before."""
    model = records.lock(session, model_id)
    line = _logged(session, model, alias)
    earlier = _numbered(session, model_id, alias, line.returns_to)
    if earlier is None:
        raise Refused(f"The alias {alias!r} of {model.name} named no other version before: there is no way back.")
    return _write(
        session,
        line,
        model_id=model_id,
        alias=alias,
        kind="rollback",
        to_version_id=earlier.to_version_id,
        returns_to=earlier.returns_to,
        findings=[],
        **said,
    )


def remove(session: Session, model_id: uuid.UUID, alias: str, said: dict[str, str]) -> Promotion:
    """Let the alias name nothing. Raises: NotFound if it names nothing now."""
    model = records.lock(session, model_id)
    line = _logged(session, model, alias)
    if line.to_version_id is None:
        raise NotFound(f"The alias {alias!r} of {model.name} names no version.")
    return _write(
        session, line, model_id=model_id, alias=alias, kind="remove", returns_to=line.number, findings=[], **said
    )


def _numbered(session: Session, model_id: uuid.UUID, alias: str, number: int | None) -> Promotion | None:
    line = select(Promotion).where(Promotion.model_id == model_id, Promotion.alias == alias, Promotion.number == number)
    return session.scalars(line).first()


def _logged(session: Session, model: Model, alias: str) -> Promotion:
    if line := last(session, model.id, alias):
        return line
    raise NotFound(f"The alias {alias!r} of {model.name} has never named a version.")


def _write(session: Session, line: Promotion | None, **values: Any) -> Promotion:  # noqa: ANN401  # columns
    """The line after `line`. Its time is not before that of the last, even where the clock was set back."""
    new = Promotion(
        **values,
        number=line.number + 1 if line else 1,
        from_version_id=line and line.to_version_id,
        at=func.greatest(func.clock_timestamp(), line and line.at),
    )
    session.add(new)
    session.flush()
    return new


def _candidate(version: Version) -> gate.Candidate:
    metrics = {name: float(value) for name, value in version.metrics.items()}
    return gate.Candidate(version.name, metrics, records.signature_of(version))
