"""The routes of versions: model files under a name, what they came from, and what is known of them."""

import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query
from sqlalchemy import select

from mlsys.database import Database
from mlsys.openapi import example

from . import answers, examples, listing, naming, records
from .access import MayWrite
from .artefacts import Store
from .fields import Body, Document, Metrics, Sha256, Text
from .models import ModelId
from .shapes import ComparisonAnswer, VersionAnswer
from .signature import compare
from .tables import Model, Version

VersionId = Annotated[uuid.UUID, Path(description="The version's id.", examples=[examples.VERSION_ID])]
VersionName = Annotated[Text, Path(description=f"The version's name, {naming.FORM}.", examples=["1.0.0-iris.2"])]
Chosen = Annotated[uuid.UUID, Query(description="A version's id.", examples=[examples.VERSION_ID])]
_NEW = {
    "name": "1.0.0-iris.2",
    "sha256": examples.SHA256,
    "code_revision": "0123abc",
    "metrics": {"accuracy": 0.96},
}
_METRICS = {"metrics": {"latency_p99_ms": 1.7}}


class NewVersion(Body):
    """A version to be made of a file that was uploaded; what is not given is taken from the document in the file.

    code_revision: the commit of the code that trained it. parent: uuid or name of the version that it was made from.
    """

    name: Text
    sha256: Sha256
    data_sha256: Sha256 | None = None
    code_revision: Text | None = None
    parameters: Document | None = None
    metrics: Metrics | None = None
    parent: Text | None = None


class MoreMetrics(Body):
    """Metrics that are added; one that is there is replaced."""

    metrics: Metrics


def add_versions(api: APIRouter, database: Database, store: Store, may_write: MayWrite) -> None:
    """POST and GET below /models/{model_id}/versions."""

    @api.post(
        "/models/{model_id}/versions",
        status_code=201,
        responses=examples.created(examples.VERSION),
        openapi_extra=examples.takes(_NEW),
        dependencies=[Depends(may_write)],
    )
    def new_version(model_id: ModelId, new: NewVersion) -> VersionAnswer:
        """Name an uploaded file. 409 with its id if the model has a version of this name."""
        with database.session() as session:
            model = records.get(session, Model, model_id)
            return answers.version(session, records.add_version(session, store, model, new.model_dump()))

    @api.get("/models/{model_id}/versions", responses=example([examples.VERSION]))
    def versions(
        model_id: ModelId,
        page: listing.Paged,
        order: listing.NameOrder = "created_at",
        name_contains: listing.NamePart = None,
        sha256: Annotated[Sha256 | None, Query(description="Only those of this file.")] = None,
        data_sha256: Annotated[Sha256 | None, Query(description="Only those trained on these data.")] = None,
    ) -> list[VersionAnswer]:
        """The versions of a model, page by page; by name means 1.9.0 before 1.10.0."""
        with database.session() as session:
            model = records.get(session, Model, model_id)
            query = listing.named(select(Version).where(Version.model_id == model.id), Version.name, name_contains)
            for column, wanted in ((Version.sha256, sha256), (Version.data_sha256, data_sha256)):
                query = query if wanted is None else query.where(column == wanted)
            return answers.versions(session, listing.ordered(session, query, page, Version, order))

    @api.get("/models/{model_id}/versions/{version_name}", responses=example(examples.VERSION))
    def version_by_name(model_id: ModelId, version_name: VersionName) -> VersionAnswer:
        """One version of a model, by its name."""
        with database.session() as session:
            model = records.get(session, Model, model_id)
            return answers.version(session, records.find_version(session, model, version_name))


def add_version_by_id(api: APIRouter, database: Database, may_write: MayWrite) -> None:
    """GET and POST below /versions, and /compare."""

    @api.get("/versions/{version_id}", responses=example(examples.VERSION))
    def version_by_id(version_id: VersionId) -> VersionAnswer:
        """One version."""
        with database.session() as session:
            return answers.version(session, records.get(session, Version, version_id))

    @api.post(
        "/versions/{version_id}/metrics",
        responses=example(examples.VERSION),
        openapi_extra=examples.takes(_METRICS),
        dependencies=[Depends(may_write)],
    )
    def add_metrics(version_id: VersionId, more: MoreMetrics) -> VersionAnswer:
        """Add metrics to those that are there."""
        with database.session() as session:
            row = records.merge(session, Version, version_id, Version.metrics, more.metrics)
            return answers.version(session, row)

    @api.get("/compare", responses=example(examples.COMPARISON))
    def compare_versions(left: Chosen, right: Chosen) -> ComparisonAnswer:
        """Two versions: whether callers of the left one can call the right one, and what differs."""
        with database.session() as session:
            a, b = (records.get(session, Version, version_id) for version_id in (left, right))
            compatibility = compare(records.signature_of(a), records.signature_of(b))
            return {
                "left": answers.version(session, a),
                "right": answers.version(session, b),
                "compatibility": {"verdict": compatibility.verdict, "changes": compatibility.changes},
                "metrics": _different(a.metrics, b.metrics),
                "parameters": _different(a.parameters, b.parameters),
            }


def _different(left: dict[str, Any], right: dict[str, Any]) -> dict[str, list[Any]]:
    return {
        name: [left.get(name), right.get(name)]
        for name in sorted(left.keys() | right.keys())
        if left.get(name) != right.get(name)
    }
