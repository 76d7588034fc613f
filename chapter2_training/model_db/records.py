"""Projects, models, versions and experiments: how they are found, and how they are made once."""

import uuid
from typing import Any, TypeVar

import msgspec
from sqlalchemy import ColumnElement, cast, select, update
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from mlsys.errors import Conflict, InvalidInput, NotFound

from .artefacts import Store
from .inspection import Facts
from .naming import VersionName
from .signature import Signature
from .tables import Experiment, Model, Project, Version

Row = TypeVar("Row", Project, Model, Version, Experiment)
Named = TypeVar("Named", Project, Model, Version)


def get(session: Session, table: type[Row], row_id: uuid.UUID) -> Row:
    """The row of this id. Raises: NotFound."""
    return _one(session, table, table.id == row_id, f"of the id {row_id}")


def named(session: Session, table: type[Named], name: str, *within: ColumnElement[bool]) -> Named:
    """The row of this name. Raises: NotFound."""
    return _one(session, table, table.name == name, f"of the name {name[:200]!r}", *within)


def find_version(session: Session, model: Model, reference: str) -> Version:
    """The version of the model that has this uuid or this name. Raises: NotFound, InvalidInput if it is neither."""
    of_model = Version.model_id == model.id
    try:
        version_id = uuid.UUID(reference)
    except ValueError:
        VersionName.parse(reference)
        return named(session, Version, reference, of_model)
    return _one(session, Version, Version.id == version_id, f"of the id {version_id} of {model.name}", of_model)


def lock(session: Session, model_id: uuid.UUID) -> Model:
    """The model, which nobody else promotes versions of until this transaction ends. Raises: NotFound.

    NO KEY: new versions of the model, which refer to its key, need not wait.
    """
    query = select(Model).where(Model.id == model_id).with_for_update(key_share=True)
    model = session.scalars(query.execution_options(populate_existing=True)).first()
    if model is None:
        raise NotFound(f"There is no model of the id {model_id}.")
    return model


def add(session: Session, table: type[Named], values: dict[str, Any], *within: ColumnElement[bool]) -> Named:
    """A new row. Raises: Conflict with the id of the one that has its name; also if it was made a moment ago."""
    made = insert(table).values(id=uuid.uuid4(), **values).on_conflict_do_nothing().returning(table)
    if row := session.scalars(made).first():
        return row
    there = named(session, table, values["name"], *within)
    raise Conflict(
        f"There is a {_kind(table)} of the name {there.name!r} already.",
        details={"id": str(there.id)} | ({"sha256": there.sha256} if isinstance(there, Version) else {}),
    )


def add_version(session: Session, store: Store, model: Model, given: dict[str, Any]) -> Version:
    """A new version of an artefact in the store; what is not given is taken from the document in the file.

    given: name, sha256 and, each optional, data_sha256, code_revision, parameters, metrics and parent.
    Raises: InvalidInput if there is no such artefact or the name has another form, Conflict, NotFound (the parent).
    """
    name = VersionName.parse(given["name"])
    parent = given.get("parent")
    parent_id = None if parent is None else find_parent(session, model, parent).id
    facts = store.facts(given["sha256"])
    if facts is None:
        raise InvalidInput(f"There is no artefact {given['sha256']}: upload it first, by PUT /v1/api/artefacts/….")
    values = {"name": given["name"], "model_id": model.id, "parent_id": parent_id, **name._asdict()}
    return add(session, Version, values | _content(facts, given), Version.model_id == model.id)


def merge(
    session: Session, table: type[Row], row_id: uuid.UUID, column: InstrumentedAttribute[dict[str, Any]], more: object
) -> Row:
    """Add `more` to a JSON object, in one statement, so that of two callers at a time neither loses what it added.

    Raises: NotFound.
    """
    added = column.op("||")(cast(more, JSONB))
    changed = update(table).where(table.id == row_id).values({column.key: added}).returning(table)
    if row := session.scalars(changed).first():
        return row
    return get(session, table, row_id)


def find_parent(session: Session, model: Model, reference: str) -> Version:
    """A version by its name within the model, or by its uuid of any model, for fine-tuning starts from others too."""
    try:
        return get(session, Version, uuid.UUID(reference))
    except ValueError:
        return find_version(session, model, reference)


def signature_of(version: Version) -> Signature:
    """What the version takes and gives."""
    document = version.document or {}
    features, labels = document.get("features", ()), document.get("labels", ())
    return Signature(version.inputs, version.outputs, features, labels)


def _content(facts: Facts, given: dict[str, Any]) -> dict[str, Any]:
    document = facts.document and msgspec.to_builtins(facts.document)
    said = document or {}

    def either(key: str, default: object) -> object:
        return given[key] if given.get(key) is not None else said.get(key, default)

    return {
        "sha256": facts.sha256,
        "size_bytes": facts.size_bytes,
        "inputs": msgspec.to_builtins(facts.inputs),
        "outputs": msgspec.to_builtins(facts.outputs),
        "document": document,
        "data_sha256": either("data_sha256", None),
        "code_revision": given.get("code_revision"),
        "parameters": either("parameters", {}),
        "metrics": either("metrics", {}),
    }


def _one(session: Session, table: type[Row], condition: ColumnElement[bool], which: str, *more: Any) -> Row:  # noqa: ANN401
    if row := session.scalars(select(table).where(condition, *more)).first():
        return row
    raise NotFound(f"There is no {_kind(table)} {which}.")


def _kind(table: type[Row]) -> str:
    return table.__name__.lower()
